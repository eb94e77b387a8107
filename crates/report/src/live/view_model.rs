//! Content of the live view, as plain data.

use std::time::Duration;

use results::{Config, Resources, SliceLatency, VerdictStatus};

use super::glyphs::Glyphs;

/// Maximum number of values in a sparkline.
const SPARKLINE_VALUES: usize = 240;

/// Content of the screen.
#[derive(Clone, Debug, Default)]
pub(super) struct ViewModel {
    /// Model and mode.
    pub(super) title: String,
    /// All configurations, in any order.
    pub(super) configs: Vec<ConfigProgress>,
    /// The current trial.
    pub(super) trial: RunningTrial,
    /// Resources that the current trial has used so far.
    pub(super) resources: Resources,
    /// Estimate of the time until the sweep ends; `None` if it is unknown.
    pub(super) left: Option<Duration>,
    /// Results of the trials that have ended, the latest last.
    pub(super) messages: Vec<String>,
    /// True if colours may be used.
    pub(super) colour: bool,
    /// Characters of bars and frames.
    pub(super) glyphs: Glyphs,
}

/// A configuration in the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConfigProgress {
    pub(super) config: Config,
    pub(super) state: ConfigState,
}

/// Progress of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConfigState {
    /// Not measured yet.
    Pending,
    /// Being measured.
    Running,
    /// Measured, with this verdict.
    Done(VerdictStatus),
    /// Could not run.
    NotRun,
}

/// Progress of the current trial.
#[derive(Clone, Debug, Default)]
pub(super) struct RunningTrial {
    /// Number and name: `3/24 vgg: replicas 1, CPUs 2, batch 8`.
    pub(super) name: String,
    /// Phase and its state, for instance `throughput: warming up`.
    pub(super) phase: String,
    /// Share of the load's time that has passed, 0 to 1.
    pub(super) done: f64,
    /// Time until the load ends; `None` if it has no fixed length.
    pub(super) left: Option<Duration>,
    /// Number of answers so far.
    pub(super) answered: u64,
    /// Number of queries in flight.
    pub(super) in_flight: u64,
    /// Queue depth of the frontend, in queries.
    pub(super) queued: Option<f64>,
    /// Mean size of the latest batches.
    pub(super) mean_batch: Option<f64>,
    /// Maximum batch size.
    pub(super) batch_size: usize,
    /// Answers per second, one value for each second, the latest last.
    pub(super) rates: Vec<f64>,
    /// Median latency in milliseconds, one value for each second.
    pub(super) p50s: Vec<f64>,
    /// 99th percentile of the latency in milliseconds, one value for each second.
    pub(super) p99s: Vec<f64>,
}

impl ViewModel {
    /// Changes the state of one configuration.
    pub(super) fn mark(&mut self, config: Config, state: ConfigState) {
        let mut configs = self.configs.iter_mut();
        if let Some(found) = configs.find(|found| found.config == config) {
            found.state = state;
        }
    }
}

impl RunningTrial {
    /// Adds the rate of a second, and its latency if it is known.
    pub(super) fn add_second(&mut self, rate: f64, latency: Option<SliceLatency>) {
        self.rates.push(rate);
        self.p50s.extend(latency.map(|latency| latency.p50_ms));
        self.p99s.extend(latency.map(|latency| latency.p99_ms));
        for values in [&mut self.rates, &mut self.p50s, &mut self.p99s] {
            values.drain(..values.len().saturating_sub(SPARKLINE_VALUES));
        }
    }
}
