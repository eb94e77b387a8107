//! What the scheduler is told, and what it answers.

use std::{fmt, sync::Arc, time::Duration};

use model::DataType;

pub use crate::policy::Adaptive;

/// Time since a moment that all calls share.
pub type Timestamp = Duration;

/// An application: what clients name in their queries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its name.
    pub name: String,
    /// The type of its inputs.
    pub input_type: DataType,
    /// The answer to a query whose time has passed.
    pub default_output: String,
    /// How long a query may take.
    pub objective: Duration,
}

/// A model's name and version.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelVersion {
    /// The model's name.
    pub name: String,
    /// The version.
    pub version: String,
}

impl fmt::Display for ModelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}

/// What a replica brings when it joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joining {
    /// What it serves.
    pub model: ModelVersion,
    /// The type of its inputs.
    pub input_type: DataType,
    /// Batches that it wants in flight, at least 1.
    pub batches_in_flight: usize,
    /// The largest batch that it can take, if there is a limit.
    pub max_batch: Option<usize>,
}

/// A query, from its arrival until it ends. `P` is what comes with it: its input, and where the answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<P> {
    /// Its application.
    pub app: Arc<App>,
    /// The model version that it goes to; `None` if the application has none: it gets the default output.
    pub model: Option<Arc<ModelVersion>>,
    /// The type of its input.
    pub input_type: DataType,
    /// Bytes of its input.
    pub size: usize,
    /// Queries to one model version with the same are computed once.
    pub fingerprint: Option<Fingerprint>,
    /// When it came.
    pub arrived: Timestamp,
    /// When the default output is its answer.
    pub deadline: Timestamp,
    /// What comes with it.
    pub payload: P,
}

impl<P> Query<P> {
    /// The same with another payload, while this one stays.
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

    /// The same with a changed payload.
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

/// Names an input: two that differ have two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u128);

/// Names a replica from its joining until it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaKey(pub(crate) usize);

/// Names a batch between a [`Action::Send`] and its response.
pub type BatchId = u32;

/// Names a query from its arrival until it ends, and while it is in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueryKey(pub(crate) usize);

/// What the caller has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<P> {
    /// Send a batch: the inputs are at [`Scheduler::payload`](crate::Scheduler::payload) until its response or its replica's end.
    Send(Send),
    /// Answer a query with its application's default output.
    Default(Query<P>, Reason),
    /// A replica is far behind its own pace: it has lost its batches, and gets no more until it answers again.
    Hung(ReplicaKey),
}

/// A batch to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// To whom.
    pub replica: ReplicaKey,
    /// The batch's name.
    pub batch: BatchId,
    /// Its queries, in order.
    pub queries: Vec<QueryKey>,
    /// The earliest deadline among them.
    pub deadline: Timestamp,
}

/// A response's batch, as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered<P> {
    /// When it was sent.
    pub sent: Timestamp,
    /// How many queries it had.
    pub size: usize,
    /// Who waits for the answers, each with the place in the batch of the one for it.
    pub queries: Vec<(usize, Query<P>)>,
    /// The fingerprints in the batch, each with its place, whether anybody waits for the answer or not.
    pub fingerprints: Vec<(usize, Fingerprint)>,
}

/// How a replica left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It died, or is as good as dead: the batch that it was computing may have killed it.
    Died,
    /// It stopped in good order.
    Stopped,
}

/// Why a query is answered with the default output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No replica of the application's model is connected, or no model is linked.
    NoReplica,
    /// Its deadline passed before it was sent.
    TimedOutInQueue,
    /// Its deadline passed while a replica had it.
    TimedOutAtReplica,
    /// Two replicas died, or stopped answering, while computing it.
    ReplicaDied,
    /// The scheduler was given up before it had its answer.
    Stopping,
}

impl Reason {
    /// In words, for clients.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NoReplica => "no replica connected",
            Reason::TimedOutInQueue => "timed out in queue",
            Reason::TimedOutAtReplica => "timed out at the replica",
            Reason::ReplicaDied => "replica died",
            Reason::Stopping => "the frontend stopped",
        }
    }
}

/// What a model version has to do, and who does it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Queries that wait.
    pub queries: usize,
    /// Bytes of their inputs.
    pub bytes: usize,
    /// Replicas that have joined.
    pub replicas: usize,
}

/// How queues and batches are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Queries that may wait for one model version.
    pub max_queries: usize,
    /// Bytes of inputs that may wait for one model version.
    pub max_bytes: usize,
    /// How large batches are where a model has no maximum of its own.
    pub adaptive: Adaptive,
    /// How long an idle replica waits for a fuller batch, from the arrival of the first query.
    pub batch_delay: Duration,
    /// A batch is not late before so long, however fast the replica is otherwise.
    pub hang_floor: Duration,
    /// The same for a replica that has answered nothing yet.
    pub first_batch: Duration,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            max_queries: 100_000,
            max_bytes: 1 << 30,
            adaptive: Adaptive::Aimd,
            batch_delay: Duration::ZERO,
            hang_floor: Duration::from_secs(10),
            first_batch: Duration::from_secs(120),
        }
    }
}

/// A query that is not taken, handed back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{refusal}")]
pub struct Refused<P> {
    /// The query.
    pub query: Query<P>,
    /// Why it is not taken.
    pub refusal: Refusal,
}

/// Why a query is not taken. The caller, who resolves names, finds [`UnknownApp`](Refusal::UnknownApp) and
/// [`UnknownVersion`](Refusal::UnknownVersion); the scheduler finds the others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such application.
    #[error("no application with this name")]
    UnknownApp,
    /// The input is not of the application's type.
    #[error("the application takes {}, not {got}", app.input_type)]
    InputType {
        /// The application.
        app: Arc<App>,
        /// The type of the input.
        got: DataType,
    },
    /// The input is not of the type that the model version takes.
    #[error("{model} takes {takes}, not {got}")]
    ModelInputType {
        /// The application.
        app: Arc<App>,
        /// The model version.
        model: ModelVersion,
        /// The type that it takes.
        takes: DataType,
        /// The type of the input.
        got: DataType,
    },
    /// The model has no such version.
    #[error("Requested version: {} does not exist for model: {}", .0.version, .0.name)]
    UnknownVersion(ModelVersion),
    /// As many queries or bytes wait as may.
    #[error("overloaded: {queries} queries ({bytes} bytes) wait for {model}")]
    Overloaded {
        /// The application.
        app: Arc<App>,
        /// The model version whose queue is full.
        model: ModelVersion,
        /// Queries that wait.
        queries: usize,
        /// Bytes of their inputs.
        bytes: usize,
    },
    /// No more queries are taken.
    #[error("the frontend is stopping")]
    Stopping {
        /// The application.
        app: Arc<App>,
    },
}
