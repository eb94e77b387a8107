//! How fast a model serves, as one point of a sweep has measured it: phase by phase.

use std::fmt;

use loadgen::{Arrivals, Estimate, Window, stats::Totals};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Throughput, latency, and what explains them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Speed {
    /// How queries were sent: the value of `--mode`.
    pub mode: String,
    /// Rates and latencies over the first phase, a second or so each, with the original's keys.
    pub client_metrics: ClientMetrics,
    /// Answers by the model over the window of the first phase: queries a second.
    pub throughput_qps: f64,
    /// What was done, in order; one phase at least.
    pub phases: Vec<Phase>,
    /// The highest rate that meets the objective, where one was looked for.
    pub search: Option<Search>,
    /// The same shape with the no-op model: what frontend and protocol cost by themselves.
    pub zero: Option<Zero>,
    /// What the load generator could have done, and did.
    pub generator: Option<Generator>,
}

/// One window under one kind of load, with a warm-up before it. All queries are counted, each once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// What it is for.
    pub kind: PhaseKind,
    /// How the queries arrived.
    pub arrivals: Arrivals,
    /// Seconds from the beginning of the point's load until the window opened.
    pub opened_seconds: f64,
    /// What became of the queries that were sent before the window: nothing else here counts them, but none of them may
    /// fail either.
    pub warm_up: Totals,
    /// What became of the queries that were sent inside the window.
    pub totals: Totals,
    /// True if the window opened because every replica had worked and several windows in a row had agreed; false if it
    /// opened because time was running out.
    pub steady: bool,
    /// True if an open loop offered more than was served. Then its queue grew for as long as it sent, its latencies say
    /// how long that was and are left out, and what was unanswered after a short drain is cancelled.
    #[serde(default)]
    pub overloaded: bool,
    /// Answers by the model that arrived inside the window, over its length: queries a second.
    pub throughput: Estimate,
    /// Those among them that came within the objective; absent without one.
    pub goodput_qps: Option<f64>,
    /// Of the queries that were sent inside the window and answered by the model, from the intended time of sending; absent
    /// if there is none, or the phase was overloaded.
    pub latency: Option<Latency>,
    /// How late sends were, in milliseconds; absent in a closed loop, which intends no time.
    pub lag: Option<Lag>,
    /// Queries in flight, as a mean over the time of the window.
    pub mean_in_flight: f64,
    /// Mean size of the batches whose answers arrived inside the window; absent if there is none.
    pub mean_batch: Option<f64>,
    /// Number of those batches: a fraction where a batch was cut by the window's edge.
    pub batches: f64,
    /// Where the time of the answers that arrived inside the window went, in the mean; absent if there is none.
    pub time_breakdown: Option<TimeBreakdown>,
    /// The window in parts, a second long or a little more.
    pub windows: Vec<Window>,
}

/// What a phase is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// How much the system serves when it always has enough to do.
    Throughput,
    /// How long a query takes at a rate below that.
    Latency,
    /// A rate on the way to the highest that meets the objective.
    Search,
    /// That rate, measured again.
    Confirm,
    /// One query in flight: what a query takes without a queue.
    SingleStream,
    /// As the original driver sends.
    Flood,
}

/// Latency in milliseconds, on a monotonic clock, until the answer has been received.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Queries.
    pub samples: u64,
    /// Mean.
    pub mean: f64,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
    /// Those among 0.5, 0.9, 0.95, 0.99 and 0.999 for which there are enough samples, ascending.
    pub percentiles: Vec<Percentile>,
    /// All of it: `[microseconds, queries]`, to three figures, ascending.
    pub histogram: Vec<(u64, u64)>,
}

/// A percentile in milliseconds with the 95 % interval that order statistics give, whatever the distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentile {
    /// Which: 0.99 is the 99th.
    pub quantile: f64,
    /// Its value, and the ends of the interval.
    #[serde(flatten)]
    pub ms: Estimate,
}

/// How late queries were sent, in milliseconds after the intended time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lag {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// One entry per part of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClientMetrics {
    /// Answers a second.
    pub thrus: Vec<f64>,
    /// 99th percentile of the latency in seconds; null where nothing was answered.
    pub p99_lats: Vec<Option<f64>>,
    /// Mean latency in seconds; null where nothing was answered.
    pub mean_lats: Vec<Option<f64>>,
}

/// Mean microseconds per query. The first two add up to its time in the frontend; the last three are a part of `away`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimeBreakdown {
    /// In the frontend, until its batch was sent.
    pub queued: f64,
    /// From then until the batch's response came back.
    pub away: f64,
    /// In the model server, until the model began.
    pub waited: f64,
    /// While the model computed.
    pub predicting: f64,
    /// From the model's end until the response was sent.
    pub replying: f64,
}

/// What a search for the highest rate within the objective has found. Each rate that was tried is a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Search {
    /// The objective in milliseconds.
    pub objective_ms: f64,
    /// The highest rate whose p99 met it, in queries a second, if the confirming run agreed; absent if none did.
    pub highest_qps: Option<f64>,
    /// The p99 that the confirming run saw.
    pub p99_ms: Option<f64>,
    /// The lowest rate that missed it, if one did.
    pub missed_qps: Option<f64>,
}

/// The no-op model at the same shape, with the same inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Zero {
    /// Its throughput in queries a second.
    pub throughput_qps: f64,
    /// The size of its batches, in the mean.
    pub mean_batch: Option<f64>,
    /// Median latency with one query in flight, in milliseconds.
    pub single_p50_ms: Option<f64>,
    /// The file of that point, in the same folder.
    pub file: String,
}

/// The load generator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    /// What it can send to a server that only answers, with inputs of this size on the same cores: queries a second.
    pub ceiling_qps: f64,
    /// The highest share of it that a phase ran at.
    pub share_of_ceiling: f64,
    /// The cores' worth of time that its busiest thread took in the busiest phase; 1 is all of a core.
    pub busiest_thread: f64,
}

impl PhaseKind {
    /// As in "in the ... phase".
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

impl Search {
    /// A search ends when the rates that met and missed are as near as this, as a share of the higher one. The
    /// throughput that it starts from is hardly known better.
    pub const NEAR: f64 = 0.05;
}

impl Speed {
    /// The phase that found the throughput, if one did.
    pub fn throughput(&self) -> Option<&Phase> {
        self.phases
            .iter()
            .find(|phase| phase.kind == PhaseKind::Throughput)
    }

    /// The phase whose latency is the answer to "how long does a query take": the confirmed rate, else the highest share
    /// of the throughput, else the only one there is.
    pub fn latency(&self) -> Option<&Phase> {
        let of = |kind| self.phases.iter().rfind(|phase| phase.kind == kind);
        of(PhaseKind::Confirm)
            .or_else(|| of(PhaseKind::Latency))
            .or_else(|| of(PhaseKind::SingleStream))
            .or(self.phases.first())
    }
}

impl Latency {
    /// A percentile, if there were enough samples for it.
    pub fn percentile(&self, quantile: f64) -> Option<&Percentile> {
        self.percentiles.iter().find(|p| p.quantile == quantile)
    }
}
