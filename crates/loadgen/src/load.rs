//! What a load is told, and what it shows.

use std::time::{Duration, Instant};

use model::DataType;

use crate::{
    arrivals::Arrivals,
    stats::{Span, Tally},
};

/// Where queries go.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// Where clients connect and get their answers, for instance `tcp://127.0.0.1:4455`.
    pub answers: String,
    /// Where requests go.
    pub requests: String,
    /// The application.
    pub app: &'a str,
    /// The type of the inputs.
    pub input_type: DataType,
}

/// What to send, where to, and for how long.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    /// Where queries go.
    pub target: Target<'a>,
    /// How queries arrive.
    pub arrivals: Arrivals,
    /// Each input is sent once, in a closed loop; all of it is the window.
    pub once: bool,
    /// The seed of random arrivals: the same one gives the same arrivals, whatever the number of clients.
    pub seed: u64,
    /// The cores of the client threads and their I/O; `None`: those of the calling thread.
    pub cores: Option<&'a [usize]>,
    /// Client threads; in a closed loop, no more than there are queries in flight.
    pub clients: usize,
    /// How long queries are sent, warm-up included; of no meaning where each input is sent once.
    pub duration: Duration,
    /// When the window opens.
    pub opening: Opening,
    /// The window closes early once the 95 % interval of its figure is narrower than plus or minus this share of it.
    pub until: Option<f64>,
    /// After the last query: how long without any answer until the missing ones are given up. Twice the slowest
    /// answer's time, if that is longer.
    pub patience: Duration,
    /// Answers within this time are counted as goodput, and an overloaded open loop waits for its last ones so long.
    pub objective: Option<Duration>,
    /// When the point's first load began, for [`Progress::elapsed`].
    pub since: Instant,
}

/// When the window opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// With the first query.
    AtOnce,
    /// After this time, whatever happens.
    After(Duration),
    /// When all replicas are warm and what they answer is steady, but not before this time; and at half of the duration
    /// at the latest.
    Steady(Duration),
}

/// What the watcher is told, about ten times a second.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the point's first query.
    pub elapsed: Duration,
    /// Since this load's first query.
    pub in_phase: Duration,
    /// For how long this load sends.
    pub planned: Duration,
    /// True once the window is open.
    pub measuring: bool,
    /// Answers of any kind to this load until now.
    pub answered: u64,
    /// Queries in flight.
    pub in_flight: u64,
    /// The model's answers in the last second.
    pub ok_per_second: f64,
    /// Of the last slice of the window that is over.
    pub last_slice: Option<SliceLatency>,
    /// The mean size of the batches whose answers arrived in it.
    pub mean_batch: Option<f64>,
    /// Queries that waited in the frontend, in the mean over that slice: the sum of their waiting over its length.
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

/// What the watcher answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// Some replica has not worked yet: keep warming up.
    Cold,
    /// Go on.
    Warm,
    /// End now; what is in flight is cancelled.
    Stop,
}

/// What a load has shown.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The counts of all clients.
    pub tally: Tally,
    /// The measured window; empty if it was stopped before it opened.
    pub span: Span,
    /// True if the window opened because what was asked for had come about, not because half of the time was over.
    pub steady: bool,
    /// True if it was an open loop that offered more than was served: no latency is known then, and what was unanswered
    /// at the end of the drain is cancelled.
    pub overloaded: bool,
    /// The cores' worth of time that the busiest thread of the load generator took while the window was open.
    pub busiest_thread: f64,
}

impl Load<'_> {
    /// Number of client threads: in a closed loop, no more than there are queries in flight.
    pub(crate) fn clients(&self) -> usize {
        let most = self.arrivals.in_flight().unwrap_or(usize::MAX);
        self.clients.min(most).max(1)
    }
}
