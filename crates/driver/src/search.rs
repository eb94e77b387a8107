//! The search for the highest rate that meets a latency objective, without a clock or sockets: it says which rate to
//! try next and is told what was seen there.
//!
//! An objective is met at a rate if at most one query in a hundred misses it, and a query that the model did not answer
//! misses it. The rate is halved in between until the highest that met it and the lowest that missed it are within 5 %;
//! then the highest is measured again. If that misses, the next lower one is: one lucky run is no result.

use std::time::Duration;

use loadgen::stats::interval;
use results::{self, Phase};

/// The share of queries that may miss the objective: it is one for the 99th percentile.
const MAY_MISS: f64 = 0.01;

/// After a confirming run that missed, the next one is at this share of its rate.
const STEP_DOWN: f64 = 0.95;

/// At this share of the throughput hardly a query waits for another: where the objective is missed there, it always is.
const IDLE: f64 = 0.05;

/// Probes that are kept for confirming runs.
const CONFIRMING: usize = 3;

/// A rate to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Queries a second.
    pub rate: f64,
    /// True if this rate has met the objective and is to be measured again.
    pub confirm: bool,
}

/// What is known so far.
#[derive(Clone, Debug)]
pub struct Search {
    objective: Duration,
    /// Probes that may still be made.
    probes: usize,
    /// Where hardly a query waits.
    idle: f64,
    /// The highest rate that met the objective when it was first tried; zero if none did.
    met: f64,
    /// No rate from here on is worth a try: the throughput, or the lowest rate that missed.
    bound: f64,
    /// The lowest rate that missed.
    missed: Option<f64>,
    /// The rate of the confirming runs, once they have begun.
    confirming: Option<f64>,
    /// The confirmed rate, with its p99 in milliseconds if it can be stated.
    confirmed: Option<(f64, Option<f64>)>,
}

impl Search {
    /// Nothing is known but the throughput, in queries a second, above which no rate can be held. `probes` is how many
    /// rates may be tried, confirming runs included.
    pub fn new(objective: Duration, throughput: f64, probes: usize) -> Search {
        Search {
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

    /// What to try next, with Poisson arrivals; `None` at the end.
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

    /// Takes in what the run at [`next`](Search::next) has shown.
    pub fn saw(&mut self, phase: &Phase) {
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
        let near = self.bound - self.met <= results::Search::NEAR * self.bound;
        if self.confirming.is_none() && self.met > 0.0 && (near || self.probes <= CONFIRMING) {
            self.confirming = Some(self.met);
        }
    }

    /// What was found.
    pub fn result(&self) -> results::Search {
        results::Search {
            objective_ms: self.objective.as_secs_f64() * 1e3,
            highest_qps: self.confirmed.map(|(rate, _)| rate),
            p99_ms: self.confirmed.and_then(|(_, p99)| p99),
            missed_qps: self.missed,
        }
    }
}

/// True if at most one query in a hundred missed the objective; never in an overloaded phase, whose queue only grows.
/// Where there are too few queries to state a p99, a rate misses only if more than that certainly did.
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
        Some(_) => misses.value <= MAY_MISS,
        None => misses.low.unwrap_or(0.0) <= MAY_MISS,
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

    /// A phase in which these were the latencies, in seconds, and so many more queries got no answer.
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

    /// Forty seconds of a queue with one server, which takes a millisecond in the mean, after two of warm-up.
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

    /// Runs a search to its end: the rates tried, and what was found.
    fn search(probes: usize, mut run: impl FnMut(Probe) -> Phase) -> (Vec<Probe>, results::Search) {
        let mut search = Search::new(OBJECTIVE, 1000.0, probes);
        let mut tried = Vec::new();
        while let Some(probe) = search.next() {
            tried.push(probe);
            search.saw(&run(probe));
        }
        (tried, search.result())
    }

    /// A server that takes 1 ms up to a rate and a second above it.
    fn cliff(highest: f64) -> impl FnMut(Probe) -> Phase {
        move |probe| match probe.rate <= highest {
            true => phase(&[0.001; 500], 0),
            false => phase(&[1.0; 500], 0),
        }
    }

    #[test]
    fn the_rate_found_in_a_queue_is_that_of_the_theory() {
        // The p99 of the time in an M/M/1 queue is ln 100 over what is left of its capacity.
        let truth = 1000.0 - 100.0_f64.ln() / OBJECTIVE.as_secs_f64();
        for seed in 0..20 {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
            let (tried, found) = search(12, |probe| queue(&mut random, probe.rate));
            let highest = found.highest_qps.unwrap();
            // To within 5 % from below, and what forty seconds of a queue are good to.
            assert!(
                (0.9..1.05).contains(&(highest / truth)),
                "{seed}: {tried:?}"
            );
            assert!(found.p99_ms.unwrap() <= 20.0);
            assert!(found.missed_qps.unwrap() > highest);
        }
    }

    #[test]
    fn a_server_that_always_meets_the_objective_is_tried_nearly_at_its_throughput_and_not_above() {
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
    fn a_server_that_never_meets_it_is_given_up_where_no_query_waits() {
        let (tried, found) = search(12, cliff(0.0));
        assert_eq!((found.highest_qps, found.p99_ms), (None, None));
        assert_eq!(found.missed_qps, Some(62.5));
        assert_eq!(tried.len(), 4);
        let (tried, _) = search(12, |_| phase(&[], 0));
        assert!(tried.len() < 12);
        assert_eq!(Search::new(OBJECTIVE, 0.0, 12).next(), None);
    }

    #[test]
    fn a_rate_that_met_it_by_luck_is_not_the_result() {
        // Confirming runs, which are the truth, miss above 600.
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
    fn a_query_without_the_models_answer_misses_the_objective() {
        let of_a_thousand =
            |lost: usize| meets(&phase(&vec![0.001; 1000 - lost], lost as u64), OBJECTIVE);
        assert!(of_a_thousand(10) && !of_a_thousand(11));
    }

    #[test]
    fn an_overloaded_rate_misses_the_objective_whatever_its_latencies() {
        let mut overloaded = phase(&[0.001; 500], 0);
        assert!(meets(&overloaded, OBJECTIVE));
        overloaded.overloaded = true;
        assert!(!meets(&overloaded, OBJECTIVE));
    }

    #[test]
    fn where_a_p99_cannot_be_stated_a_rate_misses_if_more_than_a_hundredth_certainly_did() {
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
        fn whatever_is_seen_the_search_ends_below_the_throughput_with_what_a_confirming_run_has_met(
            seen in prop::collection::vec(any::<bool>(), 40),
            probes in 0..40_usize,
        ) {
            let mut seen = seen.into_iter();
            let mut met = Vec::new();
            let (tried, found) = search(probes, |probe| {
                let meets = seen.next().unwrap();
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
