//! Arrival times read from a file.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{arrivals::Arrivals, error::TraceError};

/// Divisor of a trace's duration that gives its warm-up: the first tenth.
const WARM_UP: u32 = 10;

/// Number of queries in the window below which not even a median is stated.
const FEWEST: usize = 6;

/// Longest quote of a line in an error, in characters.
const MAX_QUOTE: usize = 40;

/// Arrival times of a recorded load.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Path of the file.
    pub file: PathBuf,
    /// Arrival times since the first arrival, ascending; at least one.
    pub times: Arc<[Duration]>,
}

impl Trace {
    /// Reads times in seconds, one per line, ascending. The first arrival becomes zero, so times
    /// since 1970 are as good as times since the start of a recording. Empty lines are ignored, and
    /// a `#` begins a comment.
    ///
    /// # Errors
    /// If the file cannot be read, contains no times, or a line is not a time or is earlier than
    /// the line before it.
    pub fn read(file: &Path) -> Result<Trace, TraceError> {
        let text = fs::read_to_string(file).map_err(|why| TraceError::File {
            file: file.to_owned(),
            why,
        })?;
        let text = text.trim_start_matches('\u{feff}');
        let mut seconds: Vec<f64> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            let time = entry.parse().ok().filter(|time| is_time(*time));
            let what = match (time, seconds.last()) {
                (None, _) => "each line of a trace must be a time in seconds, zero or more",
                (Some(time), Some(last)) if time < *last => {
                    "the time is earlier than the one before it; sort the times"
                }
                (Some(time), _) => {
                    seconds.push(time);
                    continue;
                }
            };
            let entry: String = entry.chars().take(MAX_QUOTE).collect();
            return Err(TraceError::Line {
                file: file.to_owned(),
                number,
                entry,
                what,
            });
        }
        let Some(first) = seconds.first() else {
            return Err(TraceError::Empty(file.to_owned()));
        };
        let times = seconds.iter().map(|s| Duration::from_secs_f64(s - first));
        Ok(Trace {
            file: file.to_owned(),
            times: times.collect(),
        })
    }

    /// Returns the time from the first arrival until just after the last one.
    pub fn length(&self) -> Duration {
        let last = self.times.last().copied().unwrap_or_default();
        last + Duration::from_millis(1)
    }

    /// Returns the number of arrivals before `end`.
    pub fn arrivals_before(&self, end: Duration) -> usize {
        self.times.partition_point(|time| *time < end)
    }

    /// Returns the duration of a load of at most `limit`: that of the trace, or `limit` if the
    /// trace is longer.
    ///
    /// # Errors
    /// `TooShort` if too few queries arrive after the warm-up to state their latency.
    pub fn duration(&self, limit: Duration) -> Result<Duration, TraceError> {
        let duration = self.length().min(limit);
        let counted = self.arrivals_before(duration) - self.arrivals_before(warm_up(duration));
        if counted >= FEWEST {
            return Ok(duration);
        }
        let remedy = match duration < self.length() {
            true => "a longer --duration_seconds",
            false => "a longer trace",
        };
        Err(TraceError::TooShort {
            file: self.file.clone(),
            arrivals: self.times.len(),
            length: seconds(self.length()),
            counted,
            opens: seconds(warm_up(duration)),
            closes: seconds(duration),
            fewest: FEWEST,
            remedy,
        })
    }

    /// Returns the arrival process of a load that sends the trace for `duration`.
    pub fn arrivals(&self, duration: Duration) -> Arrivals {
        Arrivals::Trace {
            file: self.file.display().to_string(),
            arrivals: self.times.len(),
            seconds: seconds(self.length()),
            left_out: self.times.len() - self.arrivals_before(duration),
            times: self.times.clone(),
        }
    }
}

/// Returns the warm-up time of a trace that is sent for `duration`.
pub fn warm_up(duration: Duration) -> Duration {
    duration / WARM_UP
}

/// Returns the time in seconds, rounded to milliseconds for display.
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

/// Returns false for negative, infinite and too large numbers, and for NaN.
fn is_time(seconds: f64) -> bool {
    Duration::try_from_secs_f64(seconds).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Result<Trace, TraceError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trace");
        fs::write(&file, text).unwrap();
        Trace::read(&file)
    }

    fn millis(trace: &Trace) -> Vec<u128> {
        trace.times.iter().map(Duration::as_millis).collect()
    }

    /// Returns the error's text, after a check that it is one line that names the file.
    fn error_text(trace: Result<impl std::fmt::Debug, TraceError>) -> String {
        match trace {
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("trace") && !text.contains('\n'), "{text}");
                text
            }
            Ok(trace) => panic!("{trace:?}"),
        }
    }

    #[test]
    fn line_ends_comments_and_blank_lines_are_ignored() {
        for text in [
            "0\n0.5\n\n 0.5 \n2e0\n",
            "0\r\n0.5\r\n\r\n0.5\r\n2\r\n",
            "\u{feff}# seconds\n0\n0.5\n0.5 # twice\n  # almost done\n2",
            "1700000000\n1700000000.5\n1700000000.5\n1700000002\n",
            "7.25\n7.75\n7.75\n9.25",
        ] {
            assert_eq!(
                millis(&read(text).unwrap()),
                [0, 500, 500, 2000],
                "{text:?}"
            );
        }
    }

    #[test]
    fn seconds_since_1970_count_from_the_first_arrival() {
        let times = "1700000000.1\n1700000000.2\n1700000001.2\n1700000002.0\n1700000003.0\n";
        let trace = read(times).unwrap();
        let expected = [0.0, 0.1, 1.1, 1.9, 2.9];
        for (time, expected) in trace.times.iter().zip(expected) {
            assert!((time.as_secs_f64() - expected).abs() < 1e-6, "{time:?}");
        }
        assert_eq!(seconds(trace.length()), 2.901);
    }

    #[test]
    fn invalid_traces_are_refused_with_the_line_number() {
        for (text, named) in [
            ("0\n2\n1\n", "line 3 of"),
            ("# times\n\n0\n2\n1\n", "sort the times"),
            ("0\n-1", "line 2 of"),
            ("-1\n0", "is \"-1\": each line of a trace must be a time"),
            ("0\nNaN", "is \"NaN\""),
            ("0\ninf\n", "is \"inf\""),
            ("1e300", "line 1 of"),
            ("time\n0\n1", "is \"time\""),
            ("0,5\n", "is \"0,5\""),
            ("0\r1\r2", "line 1 of"),
            ("", "holds no times"),
            ("\n# nothing\n\n", "holds no times"),
        ] {
            let error = error_text(read(text));
            assert!(error.contains(named), "{text:?}: {error}");
        }
        let long = error_text(read("x".repeat(10_000)));
        assert!(long.len() < 300, "{long}");
        assert!(error_text(read(b"0\n\xff\n")).contains("UTF-8"));
        let missing = error_text(Trace::read(Path::new("/nowhere/trace")));
        assert!(missing.contains("/nowhere/trace"), "{missing}");
    }

    #[test]
    fn too_few_arrivals_after_the_warm_up_are_refused() {
        let duration =
            |text: &str, limit: u64| read(text).unwrap().duration(Duration::from_secs(limit));
        // The warm-up contains the first arrival.
        let six: String = (0..6).map(|n| format!("{n}\n")).collect();
        let seven = format!("{six}6\n");
        assert_eq!(duration(&seven, 120).unwrap(), Duration::from_millis(6001));
        let short = error_text(duration(&six, 120));
        assert!(
            short.contains("6 arrivals in 5.001 s, and 5 of them"),
            "{short}"
        );
        // The first trace is cut too early; in the second, all arrivals are in the warm-up.
        assert!(error_text(duration(&seven, 4)).ends_with("a longer --duration_seconds"));
        let burst = "0\n".repeat(1000);
        assert!(error_text(duration(&burst, 120)).contains("1000 arrivals in 0.001 s, and 0 of"));
    }
}
