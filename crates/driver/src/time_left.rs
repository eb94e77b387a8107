//! How long a sweep still takes.

use std::time::Duration;

use crate::{plan::ZERO, settings::Settings};

/// Start-up, drain and tear-down of a measurement, until one has shown what they really take.
const OVERHEAD: Duration = Duration::from_secs(3);

/// Counts measurements down: those of the no-op model, which come first, and those of the model.
#[derive(Clone, Copy, Debug)]
pub struct TimeLeft {
    zero: Countdown,
    model: Countdown,
}

/// Measurements that take about as long as one another.
#[derive(Clone, Copy, Debug)]
struct Countdown {
    left: u32,
    done: u32,
    spent: Duration,
    /// What is expected of one until the first is done, if anything is.
    each: Option<Duration>,
}

impl TimeLeft {
    /// For so many measurements of the no-op model, and of the model.
    pub fn new(settings: &Settings, zero: usize, model: usize) -> TimeLeft {
        let speed = settings.labels.is_none();
        let zero_duration = ZERO.min(settings.duration);
        TimeLeft {
            zero: Countdown::new(zero, Some(zero_duration + OVERHEAD)),
            model: Countdown::new(model, speed.then_some(settings.duration + OVERHEAD)),
        }
    }

    /// For all measurements that are not done; `None` if nobody knows.
    pub fn left(&self) -> Option<Duration> {
        Some(self.zero.left()? + self.model.left()?)
    }

    /// One is done, and took so long with all that belongs to it; `None` if it failed, which tells nothing of the
    /// others.
    pub fn done(&mut self, took: Option<Duration>) {
        let of = match self.zero.left {
            0 => &mut self.model,
            _ => &mut self.zero,
        };
        of.left = of.left.saturating_sub(1);
        if let Some(took) = took {
            of.done += 1;
            of.spent += took;
        }
    }
}

impl Countdown {
    fn new(count: usize, each: Option<Duration>) -> Countdown {
        Countdown {
            left: u32::try_from(count).unwrap_or(u32::MAX),
            done: 0,
            spent: Duration::ZERO,
            each,
        }
    }

    fn left(&self) -> Option<Duration> {
        let each = match self.done {
            0 if self.left == 0 => Some(Duration::ZERO),
            0 => self.each,
            done => Some(self.spent / done),
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
    fn the_zero_counts_and_what_is_done_shows_what_the_rest_takes() {
        let settings = sweep("driver -m vgg -d 10").unwrap();
        let mut time = TimeLeft::new(&settings, 2, 3);
        assert_eq!(
            time.left(),
            Some(2 * (ZERO + OVERHEAD) + 3 * (10 * SECOND + OVERHEAD))
        );
        time.done(Some(5 * SECOND));
        assert_eq!(time.left(), Some(5 * SECOND + 3 * (10 * SECOND + OVERHEAD)));
        time.done(Some(5 * SECOND));
        time.done(Some(11 * SECOND));
        assert_eq!(time.left(), Some(22 * SECOND));
        let mut failed = time;
        failed.done(None);
        assert_eq!(failed.left(), Some(11 * SECOND));
        time.done(Some(13 * SECOND));
        assert_eq!(time.left(), Some(12 * SECOND));
        time.done(Some(12 * SECOND));
        assert_eq!(time.left(), Some(Duration::ZERO));
    }

    #[test]
    fn nobody_knows_how_long_an_accuracy_run_takes_before_the_first_is_done() {
        let settings = Settings {
            labels: Some("labels".into()),
            ..sweep("driver -m svm").unwrap()
        };
        let mut time = TimeLeft::new(&settings, 0, 3);
        assert_eq!(time.left(), None);
        time.done(Some(2 * SECOND));
        assert_eq!(time.left(), Some(4 * SECOND));
    }
}
