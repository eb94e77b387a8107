//! Estimate of how long an answer takes from the engine to its HTTP connection.
//!
//! Under load, an answer waits until the HTTP thread has served what came before it. The engine
//! subtracts this time from a query's deadline, so that the answer reaches the client in time.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Growth of the estimate with each answer that takes longer: it doubles within 15.
const GROWTH: f64 = 1.05;

/// Decrease with each answer that does not. The estimate stays where 1 % of the answers take
/// longer, because ninety-nine decreases then make up for one growth.
const DECREASE: f64 = 0.9995;

/// Least estimate, in nanoseconds.
const FLOOR: u64 = 50_000;

/// Estimate of the 99th percentile. Several threads may write it; a lost update does no harm.
#[derive(Debug)]
pub(crate) struct WayBack(AtomicU64);

impl Default for WayBack {
    fn default() -> WayBack {
        WayBack(AtomicU64::new(FLOOR))
    }
}

impl WayBack {
    /// Adds an answer that took this long.
    pub(crate) fn record(&self, took: Duration) {
        let estimate = self.0.load(Relaxed);
        let factor = match took.as_nanos() > u128::from(estimate) {
            true => GROWTH,
            false => DECREASE,
        };
        let next = (estimate as f64 * factor) as u64;
        self.0.store(next.max(FLOOR), Relaxed);
    }

    /// Returns the estimate, and at most an eighth of an objective: no answer is given up for a
    /// hiccup.
    pub(crate) fn within(&self, objective: Duration) -> Duration {
        let estimate = Duration::from_nanos(self.0.load(Relaxed));
        estimate.min(objective / 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTIVE: Duration = Duration::from_secs(1);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn estimate_covers_ninety_nine_of_a_hundred_answers() {
        let way_back = WayBack::default();
        for number in 0..100_000 {
            way_back.record(ms(1 + number * 37 % 100));
        }
        let estimate = way_back.within(OBJECTIVE);
        assert!((ms(90)..ms(106)).contains(&estimate), "{estimate:?}");
    }

    #[test]
    fn estimate_takes_an_eighth_of_the_objective_at_most() {
        let way_back = WayBack::default();
        for _ in 0..1_000 {
            way_back.record(ms(800));
        }
        assert_eq!(way_back.within(OBJECTIVE), OBJECTIVE / 8);
        for _ in 0..20_000 {
            way_back.record(Duration::ZERO);
        }
        assert_eq!(way_back.within(OBJECTIVE), Duration::from_nanos(FLOOR));
    }
}
