//! Counts how often a search confirms a rate above the true one.

use std::time::Duration;

use results::{PhaseKind, median, rate_search::RateSearch};

use crate::{
    observe::Observation,
    parallel,
    server::{Server, Service},
    truth,
};

/// Searches of one server and duration.
#[derive(Clone, Copy, Debug)]
pub struct SearchCase {
    /// Distribution of the service time.
    pub service: Service,
    /// Throughput in queries per second.
    pub capacity: f64,
    /// Latency objective in seconds.
    pub objective: f64,
    /// Value of `--duration_seconds`.
    pub seconds: f64,
}

/// Counts of the searches of a case.
#[derive(Clone, Copy, Debug)]
pub struct SearchCounts {
    /// The case.
    pub case: SearchCase,
    /// Number of searches.
    pub searches: usize,
    /// Number that confirmed a rate.
    pub confirmed: usize,
    /// Number that confirmed a rate above the true one.
    pub above: usize,
    /// Median of the confirmed rates, relative to the true one; 0 if none was confirmed.
    pub median: f64,
}

/// Cases of the table.
pub const CASES: [SearchCase; 7] = [
    case(Service::Exponential, 500.0, 0.02, 30.0),
    case(Service::Exponential, 500.0, 0.02, 120.0),
    case(Service::Constant, 500.0, 0.02, 120.0),
    case(Service::Batch, 500.0, 0.1, 120.0),
    case(Service::Exponential, 500.0, 0.02, 600.0),
    case(Service::Batch, 37.0, 0.4, 120.0),
    case(Service::Constant, 15.0, 0.5, 120.0),
];

const fn case(service: Service, capacity: f64, objective: f64, seconds: f64) -> SearchCase {
    SearchCase {
        service,
        capacity,
        objective,
        seconds,
    }
}

impl SearchCase {
    fn at(&self, rate: f64) -> Server {
        Server {
            service: self.service,
            capacity: self.capacity,
            rate,
            stall_period: None,
        }
    }

    /// Returns the highest rate at which one query in a hundred is late.
    pub fn truth(&self, queries: u64) -> f64 {
        let (mut low, mut high) = (0.0, self.capacity);
        for _ in 0..14 {
            let middle = f64::midpoint(low, high);
            match truth::share_above(&self.at(middle), self.objective, queries) <= 0.01 {
                true => low = middle,
                false => high = middle,
            }
        }
        low
    }

    /// Simulates the search `runs` times. `share` is the part of the duration that it has.
    pub fn count(self, runs: u64, share: f64) -> SearchCounts {
        let truth = self.truth(2_000_000);
        let objective = Duration::from_secs_f64(self.objective);
        let found =
            parallel::outcomes(runs, self.seconds as u64 + self.capacity as u64, |random| {
                let time = Duration::from_secs_f64(self.seconds * share);
                let mut search = RateSearch::new(objective, self.capacity, time);
                while let Some(probe) = search.next() {
                    let seconds = probe.duration.as_secs_f64();
                    let warm_up = (seconds / 10.0).max(1.0).min(seconds / 4.0);
                    let window = seconds - warm_up;
                    let mut seen = Observation::new(probe.rate, warm_up, window, Some(objective));
                    self.at(probe.rate)
                        .run(random, seconds, |query| seen.count(query));
                    search.record(&seen.phase(PhaseKind::Search));
                }
                search.result().highest_qps
            });
        let confirmed: Vec<f64> = found
            .iter()
            .copied()
            .flatten()
            .map(|rate| rate / truth)
            .collect();
        SearchCounts {
            case: self,
            searches: found.len(),
            confirmed: confirmed.len(),
            above: confirmed.iter().filter(|rate| **rate > 1.0).count(),
            median: median(&confirmed).unwrap_or(0.0),
        }
    }
}

/// Simulates all cases; the short form has fewer searches.
pub fn simulate(short: bool) -> Vec<SearchCounts> {
    /// Share of a trial that the search has.
    const SHARE: f64 = 0.9;
    let runs = if short { 100 } else { 1000 };
    CASES.map(|case| case.count(runs, SHARE)).to_vec()
}
