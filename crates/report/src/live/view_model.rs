//! What the live view shows, as plain data.

use std::time::Duration;

use results::{Config, Resources, SliceLatency, Status};

/// How many values a sparkline has at most.
const KEPT: usize = 240;

/// Everything that is on the screen.
#[derive(Clone, Debug, Default)]
pub(super) struct ViewModel {
    /// What is measured: the model and the mode, for instance.
    pub(super) title: String,
    /// All combinations, in any order.
    pub(super) configs: Vec<ConfigState>,
    /// The measurement that runs.
    pub(super) now: Now,
    /// What it has used until now.
    pub(super) resources: Resources,
    /// Time left of the sweep, if anybody knows.
    pub(super) left: Option<Duration>,
    /// What has been said, the latest last.
    pub(super) messages: Vec<String>,
    /// Colours may be used.
    pub(super) colour: bool,
}

/// One combination in the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConfigState {
    pub(super) config: Config,
    pub(super) state: State,
}

/// How far a combination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
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
pub(super) struct Now {
    /// Which of how many, and what: `3/24 vgg: replicas 1, CPUs 2, batch 8`.
    pub(super) point: String,
    /// What is being done, for instance `throughput: warming up`.
    pub(super) phase: String,
    /// The share of it that is done: 0 to 1.
    pub(super) done: f64,
    /// Time left of its load, if it has a length.
    pub(super) left: Option<Duration>,
    /// Answers until now.
    pub(super) answered: u64,
    /// Queries in flight.
    pub(super) in_flight: u64,
    /// Queries that wait in the frontend.
    pub(super) queued: Option<f64>,
    /// The mean size of the latest batches.
    pub(super) mean_batch: Option<f64>,
    /// The largest that a batch may be.
    pub(super) batch_size: usize,
    /// Answers a second, one value for each second or so, the latest last; so are the next two.
    pub(super) rates: Vec<f64>,
    /// Median latency in milliseconds.
    pub(super) p50s: Vec<f64>,
    /// The 99th percentile in milliseconds.
    pub(super) p99s: Vec<f64>,
}

impl ViewModel {
    /// Changes the state of one combination.
    pub(super) fn mark(&mut self, config: Config, state: State) {
        let mut configs = self.configs.iter_mut();
        if let Some(found) = configs.find(|found| found.config == config) {
            found.state = state;
        }
    }
}

impl Now {
    /// Adds a second's rate, and the latency in it, where it is known.
    pub(super) fn add_second(&mut self, rate: f64, latency: Option<SliceLatency>) {
        self.rates.push(rate);
        self.p50s.extend(latency.map(|latency| latency.p50_ms));
        self.p99s.extend(latency.map(|latency| latency.p99_ms));
        for values in [&mut self.rates, &mut self.p50s, &mut self.p99s] {
            values.drain(..values.len().saturating_sub(KEPT));
        }
    }
}
