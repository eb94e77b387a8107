//! The types of the scheduler's interface: applications, queries, batches, actions and refusals.

use std::{fmt, sync::Arc, time::Duration};

use model::DataType;

pub use crate::policy::AdaptivePolicy;

/// A point in time, as the time since a fixed moment that all calls share.
pub type Timestamp = Duration;

/// An application: clients address their queries to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Name of the application.
    pub name: String,
    /// Type of its inputs.
    pub input_type: DataType,
    /// Output for a query that no model answers by its deadline.
    pub default_output: String,
    /// Latency objective (SLO): time from a query's arrival to its deadline, unless the query has
    /// its own.
    pub objective: Duration,
}

/// A model's name and version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelVersion {
    /// Name of the model.
    pub name: String,
    /// Version of the model.
    pub version: String,
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}

/// A replica that joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReplica {
    /// The model version that it serves.
    pub model: ModelVersion,
    /// Type of its inputs.
    pub input_type: DataType,
    /// Number of batches that it takes in flight, at least 1.
    pub batches_in_flight: usize,
    /// Maximum number of queries in a batch; `None` if it has no limit.
    pub max_batch: Option<usize>,
}

/// A query. `P` is its payload: its input and the destination of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<P> {
    /// The application that it is addressed to.
    pub app: Arc<App>,
    /// The model version that serves it; `None` if the application has none, so that it gets the
    /// default output.
    pub model: Option<Arc<ModelVersion>>,
    /// Type of its input.
    pub input_type: DataType,
    /// Size of its input, in bytes.
    pub size: usize,
    /// Identifies the input. Queries of one model version with the same fingerprint are computed
    /// once; one without is always computed.
    pub fingerprint: Option<Fingerprint>,
    /// Time of its arrival.
    pub arrived: Timestamp,
    /// Time at which it is answered with the default output.
    pub deadline: Timestamp,
    /// Input and destination of the answer.
    pub payload: P,
}

impl<P> Query<P> {
    /// Returns a copy with another payload.
    pub(crate) fn with<Q>(&self, payload: Q) -> Query<Q> {
        Query {
            app: self.app.clone(),
            model: self.model.clone(),
            input_type: self.input_type,
            size: self.size,
            fingerprint: self.fingerprint,
            arrived: self.arrived,
            deadline: self.deadline,
            payload,
        }
    }

    /// Returns the query with its payload changed by a function.
    pub(crate) fn map<Q>(self, change: impl FnOnce(P) -> Q) -> Query<Q> {
        Query {
            app: self.app,
            model: self.model,
            input_type: self.input_type,
            size: self.size,
            fingerprint: self.fingerprint,
            arrived: self.arrived,
            deadline: self.deadline,
            payload: change(self.payload),
        }
    }
}

/// Identifies an input: different inputs have different fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u128);

/// Identifies a replica until it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaKey(pub(crate) usize);

/// Identifies a batch from its [`Action::SendBatch`] until its response.
pub type BatchId = u32;

/// Identifies a query from its arrival until it is answered, and while it is in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryKey(pub(crate) usize);

/// An action for the caller to carry out.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<P> {
    /// Send a batch. [`Scheduler::payload`](crate::Scheduler::payload) returns the inputs, until
    /// the batch is answered or its replica leaves.
    SendBatch(OutgoingBatch),
    /// Answer a query with its application's default output.
    AnswerDefault(Query<P>, DefaultReason),
    /// Note that a replica hangs: it takes far longer than for any batch before. Its batches have
    /// returned to the queue, and it gets no further batch until it answers.
    ReplicaHung(ReplicaKey),
    /// Note that a replica was ejected, because it failed several batches in a row. It gets single
    /// queries as probes until one succeeds.
    ReplicaEjected(ReplicaKey),
    /// Note that an ejected replica answered its probe. It gets batches again.
    ReplicaReadmitted(ReplicaKey),
}

/// The reason for which a replica failed a whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFailure {
    /// The replica ran out of memory: a smaller batch may succeed.
    OutOfMemory,
    /// Any other error.
    Other,
}

/// The health of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplicaStatus {
    /// The replica gets batches.
    #[default]
    Serving,
    /// The replica hangs: it gets no batch until it answers.
    Hung,
    /// The replica failed several batches in a row: it gets single queries as probes.
    Ejected,
}

/// A batch to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingBatch {
    /// The replica to send it to.
    pub replica: ReplicaKey,
    /// Identifies the batch in its response.
    pub batch: BatchId,
    /// Its queries, in order.
    pub queries: Vec<QueryKey>,
    /// Earliest deadline among the queries.
    pub deadline: Timestamp,
}

/// A batch that a replica has answered.
#[derive(Clone, Debug, PartialEq)]
pub struct AnsweredBatch<P> {
    /// Time at which the batch was sent.
    pub sent: Timestamp,
    /// Number of queries in the batch.
    pub size: usize,
    /// Queries that the batch answers, each with the index of its output in the batch. Several may
    /// share an output.
    pub queries: Vec<(usize, Query<P>)>,
    /// Fingerprints of the inputs in the batch, each with its index, also of queries that were
    /// answered or cancelled before.
    pub fingerprints: Vec<(usize, Fingerprint)>,
}

/// Distinguishes how a replica left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It died or became useless: the batch that it was computing may have caused that.
    Died,
    /// It shut down in an orderly way.
    Stopped,
}

/// The reason for which a query is answered with the default output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DefaultReason {
    /// No replica of the application's model is connected, or no model is linked.
    NoReplica,
    /// The deadline passed before the query was sent to a replica.
    TimedOutInQueue,
    /// The deadline passed while a replica had the query.
    TimedOutAtReplica,
    /// Two replicas died or hung while computing the query.
    ReplicaDied,
    /// The frontend stopped before a replica answered.
    Stopping,
    /// No replica could have answered the query by its deadline, so it was not computed.
    Shed,
}

impl DefaultReason {
    /// Returns the reason as text for clients.
    pub fn as_str(self) -> &'static str {
        match self {
            DefaultReason::NoReplica => "no replica connected",
            DefaultReason::TimedOutInQueue => "timed out in queue",
            DefaultReason::TimedOutAtReplica => "timed out at the replica",
            DefaultReason::ReplicaDied => "replica died",
            DefaultReason::Stopping => "the frontend stopped",
            DefaultReason::Shed => "shed: cannot finish in time",
        }
    }
}

/// The queue depth of a model version, and the number of its replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueLoad {
    /// Number of queries that wait, for a replica or for the answer to another query with the same
    /// fingerprint.
    pub queries: usize,
    /// Total size of their inputs, in bytes.
    pub bytes: usize,
    /// Number of replicas that have joined.
    pub replicas: usize,
    /// Number of them that are ejected.
    pub ejected: usize,
}

/// The content of all queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Number of queries.
    pub queries: usize,
    /// Total size of their inputs, in bytes.
    pub bytes: usize,
    /// Queries that left a queue without being computed.
    pub dropped: DroppedQueries,
}

/// Queries that were shed or timed out in a queue, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedQueries {
    /// Number of queries.
    pub queries: usize,
    /// Total size of their inputs, in bytes.
    pub bytes: usize,
}

/// Limits and policies that hold for every model version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Maximum number of queries in the queue of a model version.
    pub max_queries: usize,
    /// Maximum total size of the inputs in the queue of a model version, in bytes.
    pub max_bytes: usize,
    /// Maximum time that the replicas of a model version need for the queries in its queue; further
    /// queries are refused. `None`: only deadlines limit it.
    pub max_backlog: Option<Duration>,
    /// Policy for the batch size of model versions that have no maximum batch size.
    pub adaptive: AdaptivePolicy,
    /// Time that an idle replica waits for a fuller batch, from the arrival of the queue's first
    /// query.
    pub batch_delay: Duration,
    /// Minimum time after which a running batch counts as hung, however fast the replica's earlier
    /// batches were.
    pub hang_floor: Duration,
    /// Time after which the first batch of a replica counts as hung.
    pub first_batch: Duration,
    /// Number of batches that a replica fails in a row before it is ejected.
    pub eject_after: u32,
    /// Time from an ejection to the first probe; doubled with each failed probe.
    pub first_probe: Duration,
    /// Maximum time between two probes.
    pub last_probe: Duration,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            max_queries: 100_000,
            max_bytes: 1 << 30,
            max_backlog: None,
            adaptive: AdaptivePolicy::Aimd,
            batch_delay: Duration::ZERO,
            hang_floor: Duration::from_secs(10),
            first_batch: Duration::from_secs(120),
            eject_after: 3,
            first_probe: Duration::from_secs(1),
            last_probe: Duration::from_secs(60),
        }
    }
}

/// A refused query, returned to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct Refused<P> {
    /// The query.
    pub query: Query<P>,
    /// The reason.
    pub refusal: Refusal,
}

/// The reason for which a query is refused. The caller resolves names and finds
/// [`UnknownApp`](Refusal::UnknownApp) and [`UnknownVersion`](Refusal::UnknownVersion); the
/// scheduler finds the others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No application has the name in the query.
    #[error("no application with this name")]
    UnknownApp,
    /// The type of the input differs from the application's.
    #[error("the application takes {}, not {got}", app.input_type)]
    InputType {
        /// The application.
        app: Arc<App>,
        /// Type of the input.
        got: DataType,
    },
    /// The type of the input differs from the model version's.
    #[error("{model} takes {takes}, not {got}")]
    ModelInputType {
        /// The application.
        app: Arc<App>,
        /// The model version.
        model: ModelVersion,
        /// Type that the model version takes.
        takes: DataType,
        /// Type of the input.
        got: DataType,
    },
    /// The model has no such version.
    #[error("Requested version: {} does not exist for model: {}", .0.version, .0.name)]
    UnknownVersion(ModelVersion),
    /// The queue has reached its limit of queries or bytes.
    #[error("overloaded: {queries} queries ({bytes} bytes) wait for {model}")]
    Overloaded {
        /// The application.
        app: Arc<App>,
        /// The model version whose queue is full.
        model: ModelVersion,
        /// Number of queries in the queue.
        queries: usize,
        /// Total size of their inputs, in bytes.
        bytes: usize,
    },
    /// The frontend is stopping.
    #[error("the frontend is stopping")]
    Stopping {
        /// The application.
        app: Arc<App>,
    },
}
