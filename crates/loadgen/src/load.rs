//! Input and output types of a load.

use std::time::{Duration, Instant};

use model::DataType;

use crate::{
    arrivals::Arrivals,
    stats::{Span, Tally},
};

/// Address of an application at a frontend.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// Endpoint where clients connect and receive answers, for instance `tcp://127.0.0.1:4455`.
    pub answers: String,
    /// Endpoint that receives requests.
    pub requests: String,
    /// Name of the application.
    pub app: &'a str,
    /// Type of the inputs.
    pub input_type: DataType,
}

/// Settings of one load.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    /// Destination of the queries.
    pub target: Target<'a>,
    /// Arrival process.
    pub arrivals: Arrivals,
    /// Sends each input once, in a closed loop; the window is then the whole load.
    pub send_once: bool,
    /// Seed of random arrivals. The same seed gives the same arrivals, whatever the number of
    /// clients.
    pub seed: u64,
    /// Cores of the client threads and their I/O; `None` for those of the calling thread.
    pub cores: Option<&'a [usize]>,
    /// Number of client threads. A closed loop starts no more than it has queries in flight.
    pub clients: usize,
    /// Sending time, warm-up included; ignored with `send_once`.
    pub duration: Duration,
    /// Condition that opens the window.
    pub opening: WindowOpening,
    /// Closes the window early once the 95 % interval of the primary metric is narrower than plus
    /// or minus this share of its value.
    pub precision: Option<f64>,
    /// Gives up missing answers when none has arrived for this long after the last query, or for
    /// twice the highest latency seen, whichever is longer.
    pub answer_timeout: Duration,
    /// Latency objective: answers within it count as goodput, and the drain of an overloaded open
    /// loop lasts at least this long.
    pub objective: Option<Duration>,
    /// Start of the trial's first load, for [`Progress::elapsed`].
    pub trial_start: Instant,
}

/// Condition that opens the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowOpening {
    /// Opens with the first query.
    Immediate,
    /// Opens after this time, unconditionally.
    After(Duration),
    /// Opens when all replicas are warm and the answer rate is steady, but not before this time.
    /// Opens at half of the duration at the latest.
    Steady(Duration),
}

/// State of a running load, passed to the caller about ten times a second.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Time since the first query of the trial.
    pub elapsed: Duration,
    /// Time since the first query of this load.
    pub in_phase: Duration,
    /// Planned sending time of this load.
    pub planned: Duration,
    /// True once the window is open.
    pub measuring: bool,
    /// Answers of any status to this load so far.
    pub answered: u64,
    /// Queries in flight.
    pub in_flight: u64,
    /// Answers by the model during the last second.
    pub ok_per_second: f64,
    /// Latency in the last completed slice of the window.
    pub last_slice: Option<SliceLatency>,
    /// Mean batch size of the answers that arrived in that slice.
    pub mean_batch: Option<f64>,
    /// Mean number of queries queued in the frontend during that slice: the sum of their queueing
    /// times over its length.
    pub queued: Option<f64>,
}

/// Latency of the answers in one slice of the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SliceLatency {
    /// Median, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile, in milliseconds.
    pub p99_ms: f64,
}

/// Decision that the caller returns for each [`Progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadControl {
    /// Continues the warm-up: at least one replica has not yet computed a batch.
    Cold,
    /// Continues; the window may open.
    Warm,
    /// Ends the load now and cancels the queries in flight.
    Stop,
}

/// Result of a load.
#[derive(Clone, Debug)]
pub struct LoadResult {
    /// Counts of all clients.
    pub tally: Tally,
    /// The measured window; empty if the load was stopped before it opened.
    pub span: Span,
    /// True if the window opened because its condition was met, false if the latest time had
    /// passed.
    pub steady: bool,
    /// True for an open loop whose offered load exceeded capacity. Its latency is not meaningful,
    /// and queries without an answer at the end of the drain count as cancelled.
    pub overloaded: bool,
    /// CPU use of the load generator's busiest thread during the window, in cores.
    pub busiest_thread: f64,
}

impl Load<'_> {
    /// Returns the number of client threads, bounded by the queries in flight of a closed loop.
    pub(crate) fn clients(&self) -> usize {
        let most = self.arrivals.in_flight().unwrap_or(usize::MAX);
        self.clients.min(most).max(1)
    }
}
