//! Counts how often the intervals of a measurement contain the truth.

use results::{Estimate, PhaseKind, mean, median};

use crate::{
    observe::{self, Observation},
    parallel,
    server::{Server, Service},
    truth::{self, Truth},
};

/// Simulated measurements with the same server and duration.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// The server and its load.
    pub server: Server,
    /// Load as a share of the working time.
    pub load: f64,
    /// Length of the window in seconds.
    pub seconds: f64,
}

/// Figures of one run.
struct Run {
    throughput: Estimate,
    p50: Option<Estimate>,
    p99: Option<Estimate>,
    valid: bool,
    /// Stalls that begin in the window.
    stalls: usize,
}

/// Counts of the intervals of one figure in a cell.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Number of runs.
    pub runs: usize,
    /// Number of runs that state an interval.
    pub stated: usize,
    /// Number of intervals that contain the truth.
    pub contained: usize,
    /// Median half-width, relative to the true spread of the figure.
    pub width: f64,
}

/// Counts of a cell's runs.
#[derive(Clone, Copy, Debug)]
pub struct CellCounts {
    /// The cell.
    pub cell: Cell,
    /// Intervals of the throughput.
    pub throughput: Kept,
    /// Intervals of the median latency.
    pub p50: Kept,
    /// Intervals of the 99th percentile of the latency.
    pub p99: Kept,
    /// Number of VALID runs.
    pub valid: usize,
    /// Number of VALID runs whose p99 is off by more than 20 %.
    pub off: usize,
}

impl Kept {
    /// Returns the share of stated intervals that contain the truth; 1 if none is stated.
    pub fn coverage(&self) -> f64 {
        match self.stated {
            0 => 1.0,
            stated => self.contained as f64 / stated as f64,
        }
    }

    /// Returns the share of runs that state an interval.
    pub fn share_stated(&self) -> f64 {
        self.stated as f64 / self.runs.max(1) as f64
    }

    fn of(truth: f64, estimates: &[Option<Estimate>]) -> Kept {
        let given: Vec<Estimate> = estimates.iter().copied().flatten().collect();
        let bounds = given.iter().filter_map(|e| Some((e.low?, e.high?)));
        let bounds: Vec<(f64, f64)> = bounds.collect();
        let halves: Vec<f64> = bounds
            .iter()
            .map(|(low, high)| (high - low) / 2.0)
            .collect();
        let contained = bounds
            .iter()
            .filter(|(low, high)| *low <= truth * 1.001 && truth * 0.999 <= *high);
        let values: Vec<f64> = given.iter().map(|e| e.value).collect();
        let centre = mean(&values);
        let squares: Vec<f64> = values.iter().map(|v| (v - centre).powi(2)).collect();
        let spread = 1.96 * mean(&squares).sqrt();
        Kept {
            runs: estimates.len(),
            stated: bounds.len(),
            contained: contained.count(),
            width: median(&halves).unwrap_or(0.0) / spread,
        }
    }
}

impl Cell {
    /// Simulates the measurement `runs` times.
    pub fn count(self, runs: u64, truth: Truth) -> CellCounts {
        let seed = self.seconds as u64
            ^ (self.server.rate as u64) << 12
            ^ ((self.load * 10.0) as u64) << 22;
        let run = |random: &mut _| {
            let warm_up = self.server.settling();
            let mut seen = Observation::new(self.server.rate, warm_up, self.seconds, None);
            let ends = warm_up + self.seconds;
            let begun = self.server.run(random, ends, |query| seen.count(query));
            let phase = seen.phase(PhaseKind::Latency);
            let at = |quantile| Some(phase.latency.as_ref()?.percentile(quantile)?.ms);
            Run {
                throughput: phase.throughput,
                p50: at(0.5),
                p99: at(0.99),
                stalls: begun
                    .iter()
                    .filter(|at| warm_up <= **at && **at < ends)
                    .count(),
                valid: observe::is_valid(phase),
            }
        };
        let mut all = parallel::outcomes(runs, seed, run);
        if self.server.stall_period.is_some() {
            all.retain(|run| run.stalls >= 10);
        }
        let figures = |of: fn(&Run) -> Option<Estimate>| all.iter().map(of).collect::<Vec<_>>();
        let off = |run: &&Run| {
            let off = run
                .p99
                .map_or(1.0, |p99| (p99.value / truth.p99 - 1.0).abs());
            run.valid && off > 0.2
        };
        CellCounts {
            cell: self,
            throughput: Kept::of(self.server.rate, &figures(|run| Some(run.throughput))),
            p50: Kept::of(truth.p50, &figures(|run| run.p50)),
            p99: Kept::of(truth.p99, &figures(|run| run.p99)),
            valid: all.iter().filter(|run| run.valid).count(),
            off: all.iter().filter(off).count(),
        }
    }
}

/// Returns the cells, with their true percentiles.
pub fn cells(durations: &[f64], rates: &[f64], stalls: bool, queries: u64) -> Vec<(Cell, Truth)> {
    let mut all = Vec::new();
    for service in [Service::Constant, Service::Exponential, Service::Batch] {
        for load in [0.5, 0.8, 0.9] {
            let unit = truth::percentiles(&Server::loaded(service, 1.0, load), queries);
            for &rate in rates {
                let plain = Server::loaded(service, rate, load);
                for &seconds in durations {
                    let (server, truth) = if stalls {
                        // Fifteen stalls in the window.
                        let server = plain.with_stalls(seconds / 15.0);
                        (server, truth::percentiles(&server, queries))
                    } else {
                        let truth = Truth {
                            p50: unit.p50 / rate,
                            p99: unit.p99 / rate,
                        };
                        (plain, truth)
                    };
                    all.push((
                        Cell {
                            server,
                            load,
                            seconds,
                        },
                        truth,
                    ));
                }
            }
        }
    }
    all
}

/// Simulates all cells, with or without stalls, and passes each to `watch`. The short form has
/// fewer runs and durations.
pub fn simulate(short: bool, stalls: bool, mut watch: impl FnMut(&CellCounts)) -> Vec<CellCounts> {
    let durations: &[f64] = match (short, stalls) {
        (true, false) => &[10.0, 120.0],
        (_, true) => &[120.0],
        (false, false) => &[10.0, 24.0, 120.0, 600.0],
    };
    let (rates, runs, queries): (&[f64], _, _) = match short {
        true => (&[37.0, 500.0], 100, 2_000_000),
        false => (&[15.0, 37.0, 500.0], 1000, 20_000_000),
    };
    let counted = cells(durations, rates, stalls, queries)
        .into_iter()
        .map(|(cell, truth)| {
            let counts = cell.count(runs, truth);
            watch(&counts);
            counts
        });
    counted.collect()
}
