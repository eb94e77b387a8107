//! Speed of a model as one trial measured it, phase by phase.

use std::fmt;

use loadgen::{Arrivals, Estimate, Window, stats::Totals};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Throughput, latency, and the figures that explain them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Speed {
    /// Mode of sending: the value of `--mode`.
    pub mode: String,
    /// Rates and latencies of the first phase, one entry per second or so, with Clipper's keys.
    pub client_metrics: ClientMetrics,
    /// Throughput in the window of the first phase, in queries/s: answers by the model.
    pub throughput_qps: f64,
    /// Phases in the order of measurement; at least one.
    pub phases: Vec<Phase>,
    /// Result of the search for the highest rate within the objective, in a mode with a search.
    pub search: Option<SearchResult>,
    /// The no-op model at the same configuration: the cost of frontend and protocol.
    pub baseline: Option<Baseline>,
    /// Capacity and use of the load generator.
    pub generator: Option<Generator>,
}

/// One window under one kind of load, with a warm-up before it. Each query is counted once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// Purpose of the phase.
    pub kind: PhaseKind,
    /// Arrival process.
    pub arrivals: Arrivals,
    /// Seconds from the start of the trial's load until the window opened.
    pub opened_seconds: f64,
    /// Queries sent before the window, by status. Nothing else here counts them, but none of them
    /// may fail either.
    pub warm_up: Totals,
    /// Queries sent inside the window, by status.
    pub totals: Totals,
    /// True if the window opened in a steady state: every replica had worked and several windows in
    /// a row had agreed. False if it opened because time was running out.
    pub steady: bool,
    /// True if an open loop offered more load than was served. The queue then grew until the load
    /// ended, so latencies are left out, and the queries unanswered after a short drain are
    /// cancelled.
    #[serde(default)]
    pub overloaded: bool,
    /// Answers by the model that arrived inside the window, over its length, in queries/s.
    pub throughput: Estimate,
    /// Goodput: the part of the throughput within the objective, in queries/s; absent without an
    /// objective.
    pub goodput_qps: Option<f64>,
    /// Latency of the queries that were sent inside the window and answered by the model, from the
    /// intended time of sending; absent if there is none, or the phase was overloaded.
    pub latency: Option<Latency>,
    /// Delay of sends after their intended time, in milliseconds; absent in a closed loop, which
    /// has no intended times.
    pub lag: Option<Lag>,
    /// Queries in flight: the mean over the time of the window.
    pub mean_in_flight: f64,
    /// Mean size of the batches whose answers arrived inside the window; absent if there is none.
    pub mean_batch: Option<f64>,
    /// Number of those batches; a batch that an edge of the window cuts counts as a fraction.
    pub batches: f64,
    /// Mean time that the answers inside the window spent in each stage; absent if there is none.
    pub time_breakdown: Option<TimeBreakdown>,
    /// Parts of the window, each a second long or a little more.
    pub windows: Vec<Window>,
}

/// Purpose of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// The highest throughput, in a closed loop.
    Throughput,
    /// The latency at an offered load below that.
    Latency,
    /// A rate tried in the search for the highest one within the objective.
    Search,
    /// The rate that the search found, measured again.
    Confirm,
    /// One query in flight: the latency without queueing.
    SingleStream,
    /// Sends as the original driver does.
    Flood,
}

/// Latency in milliseconds, on a monotonic clock, until the answer is received.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Number of queries.
    pub samples: u64,
    /// Mean.
    pub mean: f64,
    /// Minimum.
    pub min: f64,
    /// The longest.
    pub max: f64,
    /// Percentiles 0.5, 0.9, 0.95, 0.99 and 0.999, ascending; without those for which there are too
    /// few samples.
    pub percentiles: Vec<Percentile>,
    /// Histogram: `[microseconds, queries]`, to three digits, ascending.
    pub histogram: Vec<(u64, u64)>,
}

/// A percentile in milliseconds with a 95 % interval from order statistics, valid for any
/// distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentile {
    /// Quantile: 0.99 is the 99th percentile.
    pub quantile: f64,
    /// Value and interval.
    #[serde(flatten)]
    pub ms: Estimate,
}

/// Delay of sends after their intended time, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lag {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// Metrics with Clipper's keys, one entry per part of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientMetrics {
    /// Throughput in queries/s.
    pub thrus: Vec<f64>,
    /// 99th percentile of the latency, in seconds; null without an answer.
    pub p99_lats: Vec<Option<f64>>,
    /// Mean latency, in seconds; null without an answer.
    pub mean_lats: Vec<Option<f64>>,
}

/// Mean time of a query in each stage, in microseconds. `queued` and `away` add up to its time in
/// the frontend; the last three are parts of `away`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimeBreakdown {
    /// In the frontend, until the batch was sent.
    pub queued: f64,
    /// From then until the response of the batch arrived.
    pub away: f64,
    /// In the model server, until the model started to compute.
    pub waited: f64,
    /// In the model.
    pub predicting: f64,
    /// From the end of the computation until the response was sent.
    pub replying: f64,
}

/// Result of a search for the highest rate within the objective. Each rate that was tried is a
/// phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchResult {
    /// Latency objective in milliseconds.
    pub objective_ms: f64,
    /// Highest rate whose p99 met the objective, confirmed by a second phase, in queries/s; absent
    /// if none did.
    pub highest_qps: Option<f64>,
    /// p99 in the confirming phase, in milliseconds.
    pub p99_ms: Option<f64>,
    /// Lowest rate that missed the objective, in queries/s; absent if none did.
    pub missed_qps: Option<f64>,
}

/// The no-op model at the same configuration, with the same inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// Throughput in queries/s.
    pub throughput_qps: f64,
    /// Mean size of the batches.
    pub mean_batch: Option<f64>,
    /// Median latency with one query in flight, in milliseconds.
    pub single_p50_ms: Option<f64>,
    /// Result file of this trial, relative to the folder of the sweep.
    pub file: String,
}

/// Capacity and use of the load generator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// Ceiling: the rate that it reaches against a server that only answers, with inputs of this
    /// size on the same cores, in queries/s.
    pub ceiling_qps: f64,
    /// Highest share of the ceiling that a phase reached.
    pub share_of_ceiling: f64,
    /// CPU use of the busiest thread in the busiest phase, in cores: 1 is a whole core.
    pub busiest_thread: f64,
}

impl PhaseKind {
    /// Returns the name, for "in the ... phase".
    pub fn name(self) -> &'static str {
        match self {
            PhaseKind::Throughput => "throughput",
            PhaseKind::Latency => "latency",
            PhaseKind::Search => "search",
            PhaseKind::Confirm => "confirming",
            PhaseKind::SingleStream => "single-stream",
            PhaseKind::Flood => "flood",
        }
    }
}

impl fmt::Display for PhaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl SearchResult {
    /// Resolution of a search, as a share of the higher rate: it ends when the rates that met and
    /// missed are this close. The throughput that it starts from is hardly known better.
    pub const RESOLUTION: f64 = 0.05;
}

impl Speed {
    /// Returns the phase that measured the throughput.
    pub fn throughput(&self) -> Option<&Phase> {
        self.phases
            .iter()
            .find(|phase| phase.kind == PhaseKind::Throughput)
    }

    /// Returns the phase whose latency stands for the trial: the confirmed rate, else the highest
    /// share of the throughput, else the single-stream phase, else the first.
    pub fn latency(&self) -> Option<&Phase> {
        let of = |kind| self.phases.iter().rfind(|phase| phase.kind == kind);
        of(PhaseKind::Confirm)
            .or_else(|| of(PhaseKind::Latency))
            .or_else(|| of(PhaseKind::SingleStream))
            .or(self.phases.first())
    }
}

impl Latency {
    /// Returns a percentile; `None` if there are too few samples for it.
    pub fn percentile(&self, quantile: f64) -> Option<&Percentile> {
        self.percentiles.iter().find(|p| p.quantile == quantile)
    }
}
