//! When a system has warmed up: some windows in a row in which as much was answered.

use std::time::Duration;

use crate::stats::interval::mean;

/// The shortest window that is looked at, or a twelfth of the time that there is, if that is less: three windows then
/// fit into the half that may be warm-up.
const SHORTEST: Duration = Duration::from_millis(500);

/// So many windows in a row have to agree.
const WINDOWS: u32 = 3;

/// They agree if they differ by this share of their mean, and what chance explains.
const TOLERANCE: f64 = 0.1;

/// Answers over time, as they come in.
#[derive(Clone, Debug)]
pub struct SteadyState {
    /// Answers until then, ascending; begins with none.
    samples: Vec<(Duration, u64)>,
    in_flight: Option<usize>,
    shortest: Duration,
}

impl SteadyState {
    /// Of a closed loop with so many in flight, or of an open one, that sends for so long.
    pub fn new(in_flight: Option<usize>, duration: Duration) -> SteadyState {
        SteadyState {
            samples: vec![(Duration::ZERO, 0)],
            in_flight,
            shortest: (duration / 12).clamp(Duration::from_millis(1), SHORTEST),
        }
    }

    /// So many answers have come until `now`, in all.
    pub fn tell(&mut self, now: Duration, answers: u64) {
        self.samples.push((now, answers));
    }

    /// Answers a second in the last second.
    pub fn rate(&self) -> f64 {
        let now = self.samples[self.samples.len() - 1].0;
        let time = now.min(Duration::from_secs(1));
        if time.is_zero() {
            return 0.0;
        }
        (self.until(now) - self.until(now - time)) / time.as_secs_f64()
    }

    /// True if the last three windows of equal length agree. They are as short as can be for each to hold enough
    /// answers: in a closed loop twice what is in flight, so that nothing is in the last one that was sent in the
    /// first; else ten.
    pub fn is_steady(&self) -> bool {
        let enough = self.in_flight.map_or(10.0, |number| 2.0 * number as f64);
        let now = self.samples[self.samples.len() - 1].0;
        let mut length = self.shortest;
        while length * WINDOWS <= now {
            let until = |windows: u32| self.until(now - length * windows);
            let counts = [
                until(2) - until(3),
                until(1) - until(2),
                until(0) - until(1),
            ];
            if counts.iter().all(|&count| count >= enough) {
                return self.agree(&counts);
            }
            length = length.mul_f64(1.25);
        }
        false
    }

    fn agree(&self, counts: &[f64; WINDOWS as usize]) -> bool {
        let mean = mean(counts);
        let [least, most] = [f64::min, f64::max].map(|f| counts.iter().copied().fold(mean, f));
        let chance = match self.in_flight {
            // Answers come in batches, which hold a third of it; a window's edge falls into one.
            Some(number) => number as f64 / 3.0,
            // Of three numbers of random arrivals, the range is below four standard deviations in 99 of 100 cases.
            None => 4.0 * mean.sqrt(),
        };
        most - least <= TOLERANCE * mean + chance
    }

    /// Answers until `at`, between two samples in proportion.
    fn until(&self, at: Duration) -> f64 {
        let after = self.samples.partition_point(|(time, _)| *time <= at);
        let (begins, before) = self.samples[after - 1];
        let Some(&(ends, then)) = self.samples.get(after) else {
            return before as f64;
        };
        let share = (at - begins).div_duration_f64(ends - begins);
        before as f64 + share * (then - before) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// When a course is steady that is looked at ten times a second: `answers` says how many there have been until a
    /// time in seconds.
    fn steady_at(in_flight: Option<usize>, answers: impl Fn(f64) -> f64) -> Option<f64> {
        let mut course = SteadyState::new(in_flight, MINUTE);
        (1..600).map(|tick| f64::from(tick) / 10.0).find(|&time| {
            course.tell(Duration::from_secs_f64(time), answers(time) as u64);
            course.is_steady()
        })
    }

    #[test]
    fn a_rate_that_stays_the_same_is_steady_soon_whether_it_is_high_or_low() {
        let fast = steady_at(Some(192), |time| 100_000.0 * time).unwrap();
        assert!((1.4..1.8).contains(&fast), "{fast}");
        // 5 a second in batches of two, of which one computes, one is ahead and one queued.
        let slow = steady_at(Some(6), |time| (time * 5.0 / 2.0).floor() * 2.0).unwrap();
        assert!((6.0..12.0).contains(&slow), "{slow}");
        let random = steady_at(None, |time| 2.5 * time).unwrap();
        assert!((12.0..17.0).contains(&random), "{random}");
    }

    #[test]
    fn a_system_that_warms_up_is_not_steady_before_it_is_warm() {
        // A cold start: a tenth of the rate for 8 seconds.
        let cold = |time: f64| 100.0 * f64::min(time, 8.0) + 1000.0 * f64::max(time - 8.0, 0.0);
        // Its first seconds look steady in themselves: that every replica has worked is asked for beside this.
        let from = |begin: f64| {
            let mut course = SteadyState::new(Some(12), MINUTE);
            (1..600).map(|tick| f64::from(tick) / 10.0).find(|&time| {
                course.tell(Duration::from_secs_f64(time), cold(time) as u64);
                time > begin && course.is_steady()
            })
        };
        let steady = from(8.0).unwrap();
        assert!((9.4..9.8).contains(&steady), "{steady}");
        // It gets faster by a fifth each second, for ever.
        assert_eq!(
            steady_at(Some(12), |time| 1000.0 * 1.2_f64.powf(time)),
            None
        );
    }

    #[test]
    fn a_short_phase_can_be_steady_before_its_half() {
        let mut course = SteadyState::new(Some(12), Duration::from_secs(2));
        for tick in 1..=9 {
            course.tell(Duration::from_millis(100 * tick), 1000 * tick);
        }
        assert!(course.is_steady());
    }

    #[test]
    fn silence_is_not_steady() {
        assert_eq!(steady_at(Some(4), |_| 0.0), None);
        let stalled = steady_at(Some(4), |time| 1000.0 * f64::min(time, 1.0));
        assert_eq!(stalled, None);
    }

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let mut course = SteadyState::new(None, MINUTE);
        assert_eq!(course.rate(), 0.0);
        course.tell(Duration::from_millis(500), 50);
        assert_eq!(course.rate(), 100.0);
        course.tell(Duration::from_millis(2000), 50);
        assert_eq!(course.rate(), 0.0);
        course.tell(Duration::from_millis(2500), 350);
        assert_eq!(course.rate(), 300.0);
    }
}
