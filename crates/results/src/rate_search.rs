//! Searches for the highest rate that meets a latency objective. A state machine without clock or
//! sockets: it returns the next rate to try and takes the measured phase.
//!
//! A rate meets the objective if at most one query in a hundred misses it; a query without the
//! model's answer misses it. Short probes bisect by what they measured. Most of the time is for
//! confirming runs below the rate that they found. A rate is confirmed only if the upper bound of
//! its misses meets the objective.

use std::time::Duration;

use crate::speed::{Phase, SearchResult};

/// Maximum share of queries that miss the objective, which is for the 99th percentile.
const MAX_MISSED: f64 = 0.01;

/// Number of probes that bisect.
const PROBES: usize = 4;

/// Share of the time for each of them.
const PROBE: f64 = 0.05;

/// Share of the time for each confirming run.
const CONFIRM: [f64; 2] = [0.42, 0.38];

/// First rate of a confirming run, as a share of the rate that the probes found.
const BELOW: f64 = 0.9;

/// Factor to the rate of the second confirming run, if the first one confirmed its rate.
const STEP_UP: f64 = 1.06;

/// The same factor if it did not.
const STEP_DOWN: f64 = 0.84;

/// Share of the throughput at which queries hardly queue: a model that misses the objective there
/// always misses it.
const IDLE: f64 = 0.05;

/// Least share of misses that a short probe can tell from none.
const LEAST_SHARE: f64 = 0.001;

/// A rate to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Queries per second.
    pub rate: f64,
    /// Sending time, warm-up included.
    pub duration: Duration,
    /// True for a confirming run.
    pub confirm: bool,
}

/// State of a search.
#[derive(Clone, Debug)]
pub struct RateSearch {
    objective: Duration,
    /// Time of all probes and confirming runs.
    time: Duration,
    /// Upper end of the search, in queries per second.
    throughput: f64,
    /// Rate below which the search gives up, in queries per second.
    idle: f64,
    /// Highest rate that met the objective as measured; 0 if none did.
    met: f64,
    /// Upper bound of the search: the throughput, or the lowest rate that missed.
    bound: f64,
    /// Lowest rate that missed.
    missed: Option<f64>,
    /// Share of misses at the rates that met and missed most narrowly.
    met_share: f64,
    bound_share: f64,
    probes: usize,
    /// Rates of the confirming runs.
    confirming: Vec<f64>,
    confirmed: Option<ConfirmedRate>,
    decision_seconds: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct ConfirmedRate {
    rate: f64,
    p99_ms: Option<f64>,
}

impl RateSearch {
    /// Begins a search below the throughput, in queries per second, that takes `time`.
    pub fn new(objective: Duration, throughput: f64, time: Duration) -> RateSearch {
        RateSearch {
            objective,
            time,
            throughput,
            idle: throughput * IDLE,
            met: 0.0,
            bound: throughput,
            missed: None,
            met_share: LEAST_SHARE,
            bound_share: 1.0,
            probes: 0,
            confirming: Vec::new(),
            confirmed: None,
            decision_seconds: None,
        }
    }

    /// Returns the next rate to try, with Poisson arrivals; `None` at the end.
    pub fn next(&self) -> Option<Probe> {
        let middle = f64::midpoint(self.met, self.bound);
        if self.probes < PROBES {
            return (middle > self.idle).then(|| Probe {
                rate: middle,
                duration: self.time.mul_f64(PROBE),
                confirm: false,
            });
        }
        let run = self.confirming.len();
        let rate = match self.confirming.last() {
            None => BELOW * self.crossing(),
            Some(rate) if self.confirmed.is_some() => STEP_UP * rate,
            Some(rate) => STEP_DOWN * rate,
        };
        let goes_on = run < CONFIRM.len() && self.idle < rate && rate < self.throughput;
        goes_on.then(|| Probe {
            rate,
            duration: self.time.mul_f64(CONFIRM[run]),
            confirm: true,
        })
    }

    /// Returns the rate at which the misses cross the limit. Their logarithm is taken as linear
    /// between the two nearest rates.
    fn crossing(&self) -> f64 {
        let from = (MAX_MISSED / self.met_share).ln();
        let to = (self.bound_share / self.met_share).ln();
        let share = if to > 0.0 { from / to } else { 0.5 };
        self.met + share.clamp(0.0, 1.0) * (self.bound - self.met)
    }

    /// Records the phase at the rate of [`next`](RateSearch::next).
    pub fn record(&mut self, phase: &Phase) {
        let Some(Probe { rate, confirm, .. }) = self.next() else {
            return;
        };
        match confirm {
            true => self.confirming.push(rate),
            false => self.probes += 1,
        }
        let missed = phase.missed.filter(|_| !phase.overloaded);
        let meets = missed.is_some_and(|missed| missed.value <= MAX_MISSED);
        match meets {
            true => {
                self.met = self.met.max(rate);
                self.met_share = missed.map_or(LEAST_SHARE, |of| of.value.max(LEAST_SHARE));
            }
            false => {
                self.bound_share = missed.map_or(1.0, |of| of.value);
                self.bound = self.bound.min(rate);
                self.missed = Some(self.bound);
                self.met = if self.met < rate { self.met } else { 0.0 };
            }
        }
        let high = missed.and_then(|missed| missed.high);
        let higher = self.confirmed.is_none_or(|confirmed| confirmed.rate < rate);
        if high.is_some_and(|high| high <= MAX_MISSED) && higher {
            let p99 = phase.latency.as_ref().and_then(|of| of.percentile(0.99));
            let p99_ms = p99.map(|p99| p99.ms.value);
            self.confirmed = Some(ConfirmedRate { rate, p99_ms });
        } else if let Some((missed, high)) = missed.zip(high).filter(|_| meets) {
            // The distance to the bound shrinks with the root of the time.
            let factor = (high - missed.value) / (MAX_MISSED - missed.value);
            self.decision_seconds =
                Some(phase.totals.seconds * factor.powi(2)).filter(|seconds| seconds.is_finite());
        }
    }

    /// Returns the outcome of the search.
    pub fn result(&self) -> SearchResult {
        let confirmed = self.confirmed;
        SearchResult {
            objective_ms: self.objective.as_secs_f64() * 1e3,
            highest_qps: confirmed.map(|confirmed| confirmed.rate),
            p99_ms: confirmed.and_then(|confirmed| confirmed.p99_ms),
            missed_qps: self.missed,
            met_qps: (self.met > 0.0).then_some(self.met),
            decision_seconds: self.decision_seconds.filter(|_| confirmed.is_none()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use loadgen::Estimate;

    /// Runs a search of a minute below 1,000 queries/s; `misses` gives the share of late queries
    /// at a rate, and its upper bound.
    fn search(misses: impl Fn(f64) -> (f64, f64)) -> (Vec<Probe>, SearchResult) {
        let minute = Duration::from_secs(60);
        let mut search = RateSearch::new(Duration::from_millis(20), 1000.0, minute);
        let mut tried = Vec::new();
        while let Some(probe) = search.next() {
            let mut phase = fixture::phase(&mut fixture::whole()).clone();
            let (value, high) = misses(probe.rate);
            phase.missed = Some(Estimate {
                value,
                low: Some(0.0),
                high: Some(high),
            });
            search.record(&phase);
            tried.push(probe);
        }
        (tried, search.result())
    }

    #[test]
    fn confirms_only_rates_whose_upper_bound_meets() {
        let (tried, found) = search(|rate| (rate / 1e5, rate / 6e4));
        let highest = found.highest_qps.unwrap();
        assert!(highest <= 600.0, "{tried:?}");
        assert!(found.decision_seconds.is_none() && !found.is_unmet());
    }

    #[test]
    fn reports_bracket_and_time_without_a_confirmed_rate() {
        let (_, found) = search(|rate| (rate / 6e4, 0.02));
        assert_eq!(found.highest_qps, None);
        assert!(found.met_qps.unwrap() <= 600.0 && found.missed_qps.unwrap() > 600.0);
        assert!(found.decision_seconds.unwrap() > 5.0);
    }

    #[test]
    fn objective_is_unmet_if_every_rate_misses() {
        let (tried, found) = search(|_| (0.5, 0.6));
        assert!(found.is_unmet());
        assert!(tried.iter().all(|probe| probe.rate > 50.0));
        let total: Duration = tried.iter().map(|probe| probe.duration).sum();
        assert!(total <= Duration::from_secs(61));
    }

    #[test]
    fn overloaded_rate_misses_the_objective() {
        let minute = Duration::from_secs(60);
        let mut search = RateSearch::new(Duration::from_millis(20), 1000.0, minute);
        let mut phase = fixture::phase(&mut fixture::whole()).clone();
        phase.missed = Some(Estimate::default());
        phase.overloaded = true;
        search.record(&phase);
        assert_eq!(search.result().missed_qps, Some(500.0));
    }
}
