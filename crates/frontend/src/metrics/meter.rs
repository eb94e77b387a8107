//! Rates as in Clipper's meters.

use std::time::Duration;

use scheduler::Timestamp;

/// Counts events, and keeps exponentially weighted averages of their rate over 1, 5 and 15 minutes,
/// in steps of 5 s.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    started: Timestamp,
    pub(super) count: u64,
    ticked: Timestamp,
    count_at_tick: u64,
    /// Events per second; `None` before the first tick.
    rates: Option<[f64; 3]>,
}

impl Meter {
    const TICK: Duration = Duration::from_secs(5);
    const MINUTES: [f64; 3] = [1.0, 5.0, 15.0];

    pub(super) fn new(now: Timestamp) -> Meter {
        Meter {
            started: now,
            ticked: now,
            ..Meter::default()
        }
    }

    pub(super) fn mark(&mut self, count: u64, now: Timestamp) {
        self.tick(now);
        self.count += count;
    }

    /// Advances the averages to `now`. The first step gets the events since the last tick, later
    /// steps get none.
    fn tick(&mut self, now: Timestamp) {
        let since = now.saturating_sub(self.ticked);
        let steps = u32::try_from(since.as_secs() / Meter::TICK.as_secs()).unwrap_or(u32::MAX);
        if steps == 0 {
            return;
        }
        let new = (self.count - self.count_at_tick) as f64 / Meter::TICK.as_secs_f64();
        let old = self.rates;
        self.rates = Some(std::array::from_fn(|index| {
            let step = -Meter::TICK.as_secs_f64() / 60.0 / Meter::MINUTES[index];
            let first = old.map_or(new, |old| new + (old[index] - new) * step.exp());
            first * (step * f64::from(steps - 1)).exp()
        }));
        self.count_at_tick = self.count;
        self.ticked = self.ticked.saturating_add(Meter::TICK * steps);
    }

    /// Returns the events per second over the last 1, 5 and 15 minutes; `None` in the first 5 s.
    pub(super) fn rates(mut self, now: Timestamp) -> Option<[f64; 3]> {
        self.tick(now);
        self.rates
    }

    /// Returns the events per second since the start of the meter.
    pub(super) fn mean(&self, now: Timestamp) -> f64 {
        self.count as f64 / now.saturating_sub(self.started).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_start_with_the_first_one_and_decay() {
        let mut meter = Meter::default();
        meter.mark(50, Duration::from_secs(1));
        meter.tick(Duration::from_secs(5));
        assert_eq!(meter.rates, Some([10.0; 3]));
        meter.tick(Duration::from_secs(65));
        let [one, five, fifteen] = meter.rates.unwrap();
        let mut stepwise = Meter::default();
        stepwise.mark(50, Duration::from_secs(1));
        (1..=13).for_each(|step| stepwise.tick(Meter::TICK * step));
        let [slow, ..] = stepwise.rates.unwrap();
        assert!((one - slow).abs() < 1e-9, "{one} {slow}");
        assert!((one - 10.0 * (-1.0_f64).exp()).abs() < 1e-9, "{one}");
        assert!(one < five && five < fifteen && fifteen < 10.0);
    }
}
