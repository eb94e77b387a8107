//! Arrival times out of a file.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{arrivals::Arrivals, error::TraceError};

/// The first tenth of a trace is its warm-up.
const WARM_UP: u32 = 10;

/// With fewer queries in the window no percentile is stated, not even a median.
const FEWEST: usize = 6;

/// So much of a line is shown in an error.
const SHOWN: usize = 40;

/// When the queries of a recorded load arrive.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The file that it was read from.
    pub file: PathBuf,
    /// Since the first arrival, ascending; at least one.
    pub times: Arc<[Duration]>,
}

impl Trace {
    /// Reads times in seconds, one per line, ascending. Only the distances between them count: the first arrival is at
    /// zero, whether the file has seconds since a beginning or since 1970. Empty lines and what follows a `#` do not
    /// count.
    ///
    /// # Errors
    /// If the file cannot be read, holds no times, or a line is no time or earlier than the line before it.
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
                (None, _) => "a trace has a time in seconds, from zero up, on each line",
                (Some(time), Some(last)) if time < *last => {
                    "it is earlier than the line before it: sort the times"
                }
                (Some(time), _) => {
                    seconds.push(time);
                    continue;
                }
            };
            let entry: String = entry.chars().take(SHOWN).collect();
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

    /// From the first arrival until just after the last one.
    pub fn length(&self) -> Duration {
        let last = self.times.last().copied().unwrap_or_default();
        last + Duration::from_millis(1)
    }

    /// How many queries arrive before `end`.
    pub fn before(&self, end: Duration) -> usize {
        self.times.partition_point(|time| *time < end)
    }

    /// How long a load of at most `limit` takes: the whole trace, or its beginning if it is longer.
    ///
    /// # Errors
    /// `TooShort` if too few queries arrive after the warm-up to say anything about their latency.
    pub fn duration(&self, limit: Duration) -> Result<Duration, TraceError> {
        let duration = self.length().min(limit);
        let counted = self.before(duration) - self.before(warm_up(duration));
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

    /// How the queries of a load arrive that sends the trace for `duration`.
    pub fn arrivals(&self, duration: Duration) -> Arrivals {
        Arrivals::Trace {
            file: self.file.display().to_string(),
            arrivals: self.times.len(),
            seconds: seconds(self.length()),
            left_out: self.times.len() - self.before(duration),
            times: self.times.clone(),
        }
    }
}

/// The warm-up of a trace that is sent for `duration`.
pub fn warm_up(duration: Duration) -> Duration {
    duration / WARM_UP
}

/// Seconds for the reader, to the millisecond.
pub fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

/// False of what cannot be a time: negative, no number, or without end.
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

    /// What is said of what is wrong, in one line that names the file.
    fn said(trace: Result<impl std::fmt::Debug, TraceError>) -> String {
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
    fn line_ends_comments_and_blank_lines_make_no_difference() {
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
    fn what_is_no_trace_is_refused_with_its_line() {
        for (text, named) in [
            ("0\n2\n1\n", "line 3 of"),
            ("# times\n\n0\n2\n1\n", "sort the times"),
            ("0\n-1", "line 2 of"),
            ("-1\n0", "is \"-1\": a trace has a time in seconds"),
            ("0\nNaN", "is \"NaN\""),
            ("0\ninf\n", "is \"inf\""),
            ("1e300", "line 1 of"),
            ("time\n0\n1", "is \"time\""),
            ("0,5\n", "is \"0,5\""),
            ("0\r1\r2", "line 1 of"),
            ("", "holds no times"),
            ("\n# nothing\n\n", "holds no times"),
        ] {
            let said = said(read(text));
            assert!(said.contains(named), "{text:?}: {said}");
        }
        let long = said(read("x".repeat(10_000)));
        assert!(long.len() < 300, "{long}");
        assert!(said(read(b"0\n\xff\n")).contains("UTF-8"));
        let nowhere = said(Trace::read(Path::new("/nowhere/trace")));
        assert!(nowhere.contains("/nowhere/trace"), "{nowhere}");
    }

    #[test]
    fn too_few_arrivals_after_the_warm_up_are_refused() {
        let of = |text: &str, limit: u64| read(text).unwrap().duration(Duration::from_secs(limit));
        // Of six arrivals the first one is in the warm-up.
        let six: String = (0..6).map(|n| format!("{n}\n")).collect();
        let seven = format!("{six}6\n");
        assert_eq!(of(&seven, 120).unwrap(), Duration::from_millis(6001));
        let short = said(of(&six, 120));
        assert!(
            short.contains("6 arrivals in 5.001 s, and 5 of them"),
            "{short}"
        );
        // Enough, but not within the time that there is; all at once, so all are in the warm-up.
        assert!(said(of(&seven, 4)).ends_with("a longer --duration_seconds"));
        let burst = "0\n".repeat(1000);
        assert!(said(of(&burst, 120)).contains("1000 arrivals in 0.001 s, and 0 of"));
    }
}
