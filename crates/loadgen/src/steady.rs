//! Detection of the steady state: the end of the warm-up, when consecutive intervals have about the
//! same throughput.

use std::time::Duration;

use crate::stats::interval::mean;

/// Shortest interval to compare, unless a twelfth of the load's duration is shorter: three
/// intervals then fit into the half that may be warm-up.
const SHORTEST: Duration = Duration::from_millis(500);

/// Number of consecutive intervals that must agree.
const INTERVALS: u32 = 3;

/// Largest difference between intervals that agree, as a share of their mean, beyond what chance
/// explains.
const TOLERANCE: f64 = 0.1;

/// Number of answers over time, and the steady state that it shows.
#[derive(Clone, Debug)]
pub struct SteadyState {
    /// Time and number of answers so far, ascending; the first sample is zero.
    samples: Vec<(Duration, u64)>,
    in_flight: Option<usize>,
    shortest: Duration,
}

impl SteadyState {
    /// Creates the detector of a closed loop with `in_flight` queries, or of an open one, that
    /// sends for `duration`.
    pub fn new(in_flight: Option<usize>, duration: Duration) -> SteadyState {
        SteadyState {
            samples: vec![(Duration::ZERO, 0)],
            in_flight,
            shortest: (duration / 12).clamp(Duration::from_millis(1), SHORTEST),
        }
    }

    /// Records the total number of answers at `now`.
    pub fn record(&mut self, now: Duration, answers: u64) {
        self.samples.push((now, answers));
    }

    /// Returns the answers a second over the last second.
    pub fn rate(&self) -> f64 {
        let now = self.samples[self.samples.len() - 1].0;
        let time = now.min(Duration::from_secs(1));
        if time.is_zero() {
            return 0.0;
        }
        (self.until(now) - self.until(now - time)) / time.as_secs_f64()
    }

    /// Returns true if the last three intervals of equal length agree. They are as short as
    /// possible with enough answers in each: ten in an open loop; in a closed loop twice the
    /// queries in flight, so that no query spans all three.
    pub fn is_steady(&self) -> bool {
        let enough = self.in_flight.map_or(10.0, |number| 2.0 * number as f64);
        let now = self.samples[self.samples.len() - 1].0;
        let mut length = self.shortest;
        while length * INTERVALS <= now {
            let until = |intervals: u32| self.until(now - length * intervals);
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

    fn agree(&self, counts: &[f64; INTERVALS as usize]) -> bool {
        let mean = mean(counts);
        let [least, most] = [f64::min, f64::max].map(|f| counts.iter().copied().fold(mean, f));
        let chance = match self.in_flight {
            // Answers arrive in batches of about a third of the queries in flight, and an
            // interval's edge splits one.
            Some(number) => number as f64 / 3.0,
            // The range of three Poisson counts is below four standard deviations in 99 of 100
            // cases.
            None => 4.0 * mean.sqrt(),
        };
        most - least <= TOLERANCE * mean + chance
    }

    /// Returns the number of answers until `at`, interpolated between two samples.
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

    /// Returns the time in seconds at which the steady state is detected, with a check every 0.1 s;
    /// `answers` gives the number of answers until a time in seconds.
    fn steady_at(in_flight: Option<usize>, answers: impl Fn(f64) -> f64) -> Option<f64> {
        let mut steady_state = SteadyState::new(in_flight, MINUTE);
        (1..600).map(|tick| f64::from(tick) / 10.0).find(|&time| {
            steady_state.record(Duration::from_secs_f64(time), answers(time) as u64);
            steady_state.is_steady()
        })
    }

    #[test]
    fn constant_rate_is_steady_soon_whether_high_or_low() {
        let fast = steady_at(Some(192), |time| 100_000.0 * time).unwrap();
        assert!((1.4..1.8).contains(&fast), "{fast}");
        // 5 a second in batches of two: one batch computes, one is sent ahead and one is queued.
        let slow = steady_at(Some(6), |time| (time * 5.0 / 2.0).floor() * 2.0).unwrap();
        assert!((6.0..12.0).contains(&slow), "{slow}");
        let random = steady_at(None, |time| 2.5 * time).unwrap();
        assert!((12.0..17.0).contains(&random), "{random}");
    }

    #[test]
    fn system_is_not_steady_before_it_is_warm() {
        // A cold start: a tenth of the rate for 8 seconds.
        let cold = |time: f64| 100.0 * f64::min(time, 8.0) + 1000.0 * f64::max(time - 8.0, 0.0);
        // The first seconds look steady by themselves: the caller also requires that every replica
        // is warm.
        let from = |begin: f64| {
            let mut steady_state = SteadyState::new(Some(12), MINUTE);
            (1..600).map(|tick| f64::from(tick) / 10.0).find(|&time| {
                steady_state.record(Duration::from_secs_f64(time), cold(time) as u64);
                time > begin && steady_state.is_steady()
            })
        };
        let steady = from(8.0).unwrap();
        assert!((9.4..9.8).contains(&steady), "{steady}");
        // The rate grows by a fifth each second, without end.
        assert_eq!(
            steady_at(Some(12), |time| 1000.0 * 1.2_f64.powf(time)),
            None
        );
    }

    #[test]
    fn short_phase_can_be_steady_before_its_half() {
        let mut steady_state = SteadyState::new(Some(12), Duration::from_secs(2));
        for tick in 1..=9 {
            steady_state.record(Duration::from_millis(100 * tick), 1000 * tick);
        }
        assert!(steady_state.is_steady());
    }

    #[test]
    fn silence_is_not_steady() {
        assert_eq!(steady_at(Some(4), |_| 0.0), None);
        let stalled = steady_at(Some(4), |time| 1000.0 * f64::min(time, 1.0));
        assert_eq!(stalled, None);
    }

    #[test]
    fn rate_is_that_of_the_last_second() {
        let mut steady_state = SteadyState::new(None, MINUTE);
        assert_eq!(steady_state.rate(), 0.0);
        steady_state.record(Duration::from_millis(500), 50);
        assert_eq!(steady_state.rate(), 100.0);
        steady_state.record(Duration::from_millis(2000), 50);
        assert_eq!(steady_state.rate(), 0.0);
        steady_state.record(Duration::from_millis(2500), 350);
        assert_eq!(steady_state.rate(), 300.0);
    }
}
