//! What the live view shows, as plain data.

use std::time::Duration;

use crate::results::{Resources, Status};

/// How many values a sparkline has at most.
const KEPT: usize = 240;

/// Everything that is on the screen.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// What is measured: the model and the mode, for instance.
    pub title: String,
    /// All combinations, in any order.
    pub cells: Vec<Cell>,
    /// The measurement that runs.
    pub now: Now,
    /// What it has used until now.
    pub resources: Resources,
    /// Time left of the sweep.
    pub left: Duration,
    /// What has been said, the latest last.
    pub messages: Vec<String>,
    /// Colours may be used.
    pub colour: bool,
}

/// One combination in the grid of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Replicas.
    pub replicas: usize,
    /// Cores that each may use.
    pub cpus_per_replica: usize,
    /// Maximum batch size.
    pub batch_size: usize,
    /// How far it is.
    pub state: State,
}

/// How far a combination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To come.
    ToCome,
    /// Being measured.
    Running,
    /// Measured.
    Done(Status),
    /// It could not run.
    NotRun,
}

/// The measurement that runs.
#[derive(Clone, Debug, Default)]
pub struct Now {
    /// Which of how many, and what: `3/24 replicas 1, CPUs 2, batch 8`.
    pub point: String,
    /// What is being done, for instance `throughput: warming up`.
    pub phase: String,
    /// The share of it that is done: 0 to 1.
    pub done: f64,
    /// Time left of it.
    pub left: Duration,
    /// Answers until now.
    pub answered: u64,
    /// Queries in flight.
    pub in_flight: Option<usize>,
    /// Queries that wait in the frontend.
    pub queued: Option<f64>,
    /// The mean size of the latest batches.
    pub mean_batch: Option<f64>,
    /// The largest that a batch may be.
    pub batch_size: usize,
    /// Answers a second, one value for each second or so, the latest last; so are the next two.
    pub rates: Vec<f64>,
    /// Median latency in milliseconds.
    pub p50s: Vec<f64>,
    /// The 99th percentile in milliseconds.
    pub p99s: Vec<f64>,
}

impl Scene {
    /// Changes the state of one combination.
    pub fn mark(&mut self, replicas: usize, cpus_per_replica: usize, batch_size: usize, to: State) {
        let asked = (replicas, cpus_per_replica, batch_size);
        for cell in &mut self.cells {
            if (cell.replicas, cell.cpus_per_replica, cell.batch_size) == asked {
                cell.state = to;
            }
        }
    }
}

impl Now {
    /// Adds a second's rate, and its latencies where they are known.
    pub fn add_second(&mut self, rate: f64, p50_ms: Option<f64>, p99_ms: Option<f64>) {
        self.rates.push(rate);
        self.p50s.extend(p50_ms);
        self.p99s.extend(p99_ms);
        for values in [&mut self.rates, &mut self.p50s, &mut self.p99s] {
            values.drain(..values.len().saturating_sub(KEPT));
        }
    }
}
