//! Searches for the highest rate that meets a latency objective. A state machine without clock or sockets: it returns
//! the next rate to try and takes the measured phase.
//!
//! A rate meets the objective if at most one query in a hundred misses it; a query without the model's answer misses
//! it. The search bisects until the highest rate that met the objective and the lowest that missed it are within 5 %.
//! Then it confirms the highest rate with a second run, because one run may have been lucky; after a miss it steps
//! down.

use std::time::Duration;

use loadgen::stats::interval;
use results::{self, Phase};

/// Maximum share of queries that miss the objective, which is for the 99th percentile.
const MAX_MISSED: f64 = 0.01;

/// Factor from the rate of a confirming run that missed to the rate of the next one.
const STEP_DOWN: f64 = 0.95;

/// Share of the throughput at which queries hardly queue: a model that misses the objective there always misses it.
const IDLE: f64 = 0.05;

/// Number of probes that are reserved for confirming runs.
const CONFIRMING: usize = 3;

/// A rate to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Queries per second.
    pub rate: f64,
    /// True for a confirming run: the rate has met the objective once.
    pub confirm: bool,
}

/// State of a search.
#[derive(Clone, Debug)]
pub struct SloSearch {
    objective: Duration,
    /// Number of probes left.
    probes: usize,
    /// Rate below which the search gives up, in queries per second.
    idle: f64,
    /// Highest rate that met the objective at its first probe; 0 if none did.
    met: f64,
    /// Upper bound of the search: the throughput, or the lowest rate that missed.
    bound: f64,
    /// Lowest rate that missed.
    missed: Option<f64>,
    /// Rate of the next confirming run, once they have begun.
    confirming: Option<f64>,
    /// Confirmed rate, with its p99 in milliseconds if it can be stated.
    confirmed: Option<(f64, Option<f64>)>,
}

impl SloSearch {
    /// Begins a search below the throughput, in queries per second, with at most `probes` probes, confirming runs
    /// included.
    pub fn new(objective: Duration, throughput: f64, probes: usize) -> SloSearch {
        SloSearch {
            objective,
            probes,
            idle: throughput * IDLE,
            met: 0.0,
            bound: throughput,
            missed: None,
            confirming: None,
            confirmed: None,
        }
    }

    /// Returns the next rate to try, with Poisson arrivals; `None` at the end.
    pub fn next(&self) -> Option<Probe> {
        if self.probes == 0 || self.confirmed.is_some() {
            return None;
        }
        if let Some(rate) = self.confirming {
            return Some(Probe {
                rate,
                confirm: true,
            });
        }
        let rate = f64::midpoint(self.met, self.bound);
        (rate > self.idle).then_some(Probe {
            rate,
            confirm: false,
        })
    }

    /// Records the phase at the rate of [`next`](SloSearch::next).
    pub fn record(&mut self, phase: &Phase) {
        let Some(Probe { rate, confirm }) = self.next() else {
            return;
        };
        self.probes -= 1;
        match (meets(phase, self.objective), confirm) {
            (true, true) => self.confirmed = Some((rate, p99(phase))),
            (true, false) => self.met = rate,
            (false, _) => {
                self.bound = self.bound.min(rate);
                self.missed = Some(self.bound);
                self.confirming = self.confirming.map(|rate| rate * STEP_DOWN);
            }
        }
        let near = self.bound - self.met <= results::SearchResult::RESOLUTION * self.bound;
        if self.confirming.is_none() && self.met > 0.0 && (near || self.probes <= CONFIRMING) {
            self.confirming = Some(self.met);
        }
    }

    /// Returns the outcome of the search.
    pub fn result(&self) -> results::SearchResult {
        results::SearchResult {
            objective_ms: self.objective.as_secs_f64() * 1e3,
            highest_qps: self.confirmed.map(|(rate, _)| rate),
            p99_ms: self.confirmed.and_then(|(_, p99)| p99),
            missed_qps: self.missed,
        }
    }
}

/// True if at most one query in a hundred missed the objective. An overloaded phase, whose queue only grows, never
/// meets it. With too few queries for a p99 the lower end of the confidence interval decides.
fn meets(phase: &Phase, objective: Duration) -> bool {
    if phase.overloaded {
        return false;
    }
    let sent = phase.totals.sent;
    let within = phase.latency.as_ref().map_or(0, |latency| {
        let steps = latency.histogram.iter();
        let within = steps.filter(|(micros, _)| u128::from(*micros) <= objective.as_micros());
        within.map(|(_, queries)| queries).sum()
    });
    let Some(misses) = interval::share(sent.saturating_sub(within), sent) else {
        return false;
    };
    match p99(phase) {
        Some(_) => misses.value <= MAX_MISSED,
        None => misses.low.unwrap_or(0.0) <= MAX_MISSED,
    }
}

fn p99(phase: &Phase) -> Option<f64> {
    let percentile = phase.latency.as_ref()?.percentile(0.99)?;
    Some(percentile.ms.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::Exp1;
    use rand_xoshiro::Xoshiro256PlusPlus;
    use results::fixture;

    const OBJECTIVE: Duration = Duration::from_millis(20);

    /// A phase with these latencies, in seconds, and `lost` queries without an answer.
    fn phase(latencies: &[f64], lost: u64) -> Phase {
        let mut result = fixture::whole();
        let mut phase = fixture::phase(&mut result).clone();
        let mut micros: Vec<_> = latencies.iter().map(|l| (l * 1e6) as u64).collect();
        micros.sort_unstable();
        phase.totals.ok = micros.len() as u64;
        phase.totals.timeout = lost;
        phase.totals.sent = phase.totals.ok + lost;
        let latency = phase.latency.as_mut().unwrap();
        latency.samples = phase.totals.ok;
        let rank = (micros.len() * 99).div_ceil(100);
        let at = micros.get(rank.saturating_sub(1)).copied().unwrap_or(0);
        for percentile in &mut latency.percentiles {
            percentile.ms.value = at as f64 / 1e3;
        }
        if micros.len() < 368 {
            latency.percentiles.clear();
        }
        latency.histogram = micros.into_iter().map(|micros| (micros, 1)).collect();
        phase
    }

    /// Forty seconds of an M/M/1 queue with a mean service time of 1 ms, after two seconds of warm-up.
    fn queue(random: &mut Xoshiro256PlusPlus, rate: f64) -> Phase {
        let mut wait = 0.0;
        let mut draw = |mean: f64| mean * random.sample::<f64, _>(Exp1);
        let mut next = || {
            let time = wait + draw(0.001);
            wait = f64::max(0.0, time - draw(1.0 / rate));
            time
        };
        let times: Vec<f64> = (0..(rate * 42.0) as usize).map(|_| next()).collect();
        phase(&times[(rate * 2.0) as usize..], 0)
    }

    /// Runs a search to its end; returns its probes and its outcome.
    fn search(
        probes: usize,
        mut run: impl FnMut(Probe) -> Phase,
    ) -> (Vec<Probe>, results::SearchResult) {
        let mut search = SloSearch::new(OBJECTIVE, 1000.0, probes);
        let mut tried = Vec::new();
        while let Some(probe) = search.next() {
            tried.push(probe);
            search.record(&run(probe));
        }
        (tried, search.result())
    }

    /// A server with a latency of 1 ms up to a rate and of 1 s above it.
    fn cliff(highest: f64) -> impl FnMut(Probe) -> Phase {
        move |probe| match probe.rate <= highest {
            true => phase(&[0.001; 500], 0),
            false => phase(&[1.0; 500], 0),
        }
    }

    #[test]
    fn finds_the_theoretical_rate_of_an_mm1_queue() {
        // The p99 latency of an M/M/1 queue is ln 100 divided by its spare capacity.
        let truth = 1000.0 - 100.0_f64.ln() / OBJECTIVE.as_secs_f64();
        for seed in 0..20 {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
            let (tried, found) = search(12, |probe| queue(&mut random, probe.rate));
            let highest = found.highest_qps.unwrap();
            // Within 5 % from below, plus the noise of forty seconds.
            assert!(
                (0.9..1.05).contains(&(highest / truth)),
                "{seed}: {tried:?}"
            );
            assert!(found.p99_ms.unwrap() <= 20.0);
            assert!(found.missed_qps.unwrap() > highest);
        }
    }

    #[test]
    fn a_fast_server_is_probed_up_to_its_throughput() {
        let (tried, found) = search(12, cliff(f64::INFINITY));
        assert!(
            (950.0..1000.0).contains(&found.highest_qps.unwrap()),
            "{tried:?}"
        );
        assert_eq!(found.missed_qps, None);
        assert!(tried.iter().all(|probe| probe.rate < 1000.0));
        assert_eq!(tried.len(), 6);
    }

    #[test]
    fn gives_up_on_a_server_that_misses_when_idle() {
        let (tried, found) = search(12, cliff(0.0));
        assert_eq!((found.highest_qps, found.p99_ms), (None, None));
        assert_eq!(found.missed_qps, Some(62.5));
        assert_eq!(tried.len(), 4);
        let (tried, _) = search(12, |_| phase(&[], 0));
        assert!(tried.len() < 12);
        assert_eq!(SloSearch::new(OBJECTIVE, 0.0, 12).next(), None);
    }

    #[test]
    fn a_lucky_probe_is_not_the_result() {
        // Confirming runs miss above 600.
        let (tried, found) = search(20, |probe| match probe.confirm {
            true => cliff(600.0)(probe),
            false => cliff(750.0)(probe),
        });
        let confirming: Vec<_> = tried.iter().filter(|p| p.confirm).map(|p| p.rate).collect();
        assert_eq!(confirming[0], 750.0);
        assert!(
            (540.0..=600.0).contains(&found.highest_qps.unwrap()),
            "{tried:?}"
        );
        assert_eq!(found.missed_qps, Some(confirming[confirming.len() - 2]));
    }

    #[test]
    fn queries_without_an_answer_miss_the_objective() {
        let of_a_thousand =
            |lost: usize| meets(&phase(&vec![0.001; 1000 - lost], lost as u64), OBJECTIVE);
        assert!(of_a_thousand(10) && !of_a_thousand(11));
    }

    #[test]
    fn an_overloaded_rate_misses_the_objective() {
        let mut overloaded = phase(&[0.001; 500], 0);
        assert!(meets(&overloaded, OBJECTIVE));
        overloaded.overloaded = true;
        assert!(!meets(&overloaded, OBJECTIVE));
    }

    #[test]
    fn few_queries_miss_only_if_the_interval_excludes_one_percent() {
        let of_fifty = |late: usize| {
            let mut times = [0.001; 50];
            times[..late].fill(1.0);
            meets(&phase(&times, 0), OBJECTIVE)
        };
        assert!(of_fifty(0) && of_fifty(1) && !of_fifty(3));
        assert!(!meets(&phase(&[], 0), OBJECTIVE));
    }

    proptest! {
        #[test]
        fn every_search_ends_with_the_rate_that_was_confirmed(
            outcomes in prop::collection::vec(any::<bool>(), 40),
            probes in 0..40_usize,
        ) {
            let mut outcomes = outcomes.into_iter();
            let mut met = Vec::new();
            let (tried, found) = search(probes, |probe| {
                let meets = outcomes.next().unwrap();
                if meets && probe.confirm {
                    met.push(probe.rate);
                }
                phase(&[if meets { 0.001 } else { 1.0 }; 400], 0)
            });
            prop_assert!(tried.len() <= probes);
            prop_assert!(tried.iter().all(|probe| 0.0 < probe.rate && probe.rate < 1000.0));
            prop_assert_eq!(found.highest_qps, met.last().copied());
        }
    }
}
