//! Estimates the remaining time of a sweep.

use std::time::Duration;

use crate::{plan::BASELINE_DURATION, settings::Settings};

/// Estimated time of a trial's start-up, drain and tear-down, until the first trial is done.
const OVERHEAD: Duration = Duration::from_secs(3);

/// Counts trials down: first those of the baseline, then those of the model.
#[derive(Clone, Copy, Debug)]
pub struct TimeLeft {
    baseline: Countdown,
    model: Countdown,
}

/// Trials of about equal duration.
#[derive(Clone, Copy, Debug)]
struct Countdown {
    /// Number of trials left.
    left: u32,
    /// Number of trials that were measured.
    measured: u32,
    /// Total duration of the trials that were measured.
    spent: Duration,
    /// Estimated duration of a trial until the first is measured.
    estimate: Option<Duration>,
}

impl TimeLeft {
    /// Starts with these numbers of trials of the baseline and of the model.
    pub fn new(settings: &Settings, baseline: usize, model: usize) -> TimeLeft {
        let speed = settings.labels.is_none();
        let baseline_duration = BASELINE_DURATION.min(settings.duration);
        TimeLeft {
            baseline: Countdown::new(baseline, Some(baseline_duration + OVERHEAD)),
            model: Countdown::new(model, speed.then_some(settings.duration + OVERHEAD)),
        }
    }

    /// Returns the time until the last trial is done; `None` if it cannot be estimated.
    pub fn left(&self) -> Option<Duration> {
        Some(self.baseline.left()? + self.model.left()?)
    }

    /// Records the duration of a trial; `None` for one that failed, which is no estimate for the others.
    pub fn record(&mut self, duration: Option<Duration>) {
        let countdown = match self.baseline.left {
            0 => &mut self.model,
            _ => &mut self.baseline,
        };
        countdown.left = countdown.left.saturating_sub(1);
        if let Some(duration) = duration {
            countdown.measured += 1;
            countdown.spent += duration;
        }
    }
}

impl Countdown {
    fn new(count: usize, estimate: Option<Duration>) -> Countdown {
        Countdown {
            left: u32::try_from(count).unwrap_or(u32::MAX),
            measured: 0,
            spent: Duration::ZERO,
            estimate,
        }
    }

    fn left(&self) -> Option<Duration> {
        let each = match self.measured {
            0 if self.left == 0 => Some(Duration::ZERO),
            0 => self.estimate,
            measured => Some(self.spent / measured),
        };
        Some(each?.saturating_mul(self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::sweep;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn measured_durations_replace_the_estimate() {
        let settings = sweep("driver -m vgg -d 10").unwrap();
        let mut time = TimeLeft::new(&settings, 2, 3);
        assert_eq!(
            time.left(),
            Some(2 * (BASELINE_DURATION + OVERHEAD) + 3 * (10 * SECOND + OVERHEAD))
        );
        time.record(Some(5 * SECOND));
        assert_eq!(time.left(), Some(5 * SECOND + 3 * (10 * SECOND + OVERHEAD)));
        time.record(Some(5 * SECOND));
        time.record(Some(11 * SECOND));
        assert_eq!(time.left(), Some(22 * SECOND));
        let mut failed = time;
        failed.record(None);
        assert_eq!(failed.left(), Some(11 * SECOND));
        time.record(Some(13 * SECOND));
        assert_eq!(time.left(), Some(12 * SECOND));
        time.record(Some(12 * SECOND));
        assert_eq!(time.left(), Some(Duration::ZERO));
    }

    #[test]
    fn accuracy_runs_have_no_estimate_before_the_first() {
        let settings = Settings {
            labels: Some("labels".into()),
            ..sweep("driver -m svm").unwrap()
        };
        let mut time = TimeLeft::new(&settings, 0, 3);
        assert_eq!(time.left(), None);
        time.record(Some(2 * SECOND));
        assert_eq!(time.left(), Some(4 * SECOND));
    }
}
