//! What the scheduler is told, and what it answers.

use std::{fmt, sync::Arc, time::Duration};

use model::DataType;

/// Time since a moment that all calls share.
pub type Now = Duration;

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

/// A query on its arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arriving<'a, P> {
    /// The application that it names.
    pub app: &'a str,
    /// The type of its input.
    pub input_type: DataType,
    /// How long it may take, if that is not the application's objective.
    pub within: Option<Duration>,
    /// What comes with it.
    pub payload: P,
}

/// Names a replica from its joining until it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplicaKey(pub(crate) usize);

/// Names a batch between a [`Action::Send`] and its response.
pub type BatchId = u32;

/// Names a query while it is in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryKey(pub(crate) usize);

/// What the caller has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action<P> {
    /// Send a batch: the inputs are at [`Scheduler::payload`](crate::Scheduler::payload) until its response or its replica's end.
    Send(Send),
    /// Answer a query with its application's default output.
    Default(Finished<P>, Reason),
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
    pub deadline: Now,
}

/// A query that left the scheduler.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished<P> {
    /// What came with it.
    pub payload: P,
    /// Its application.
    pub app: Arc<App>,
    /// When it came.
    pub arrived: Now,
}

/// A response's batch, as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered<P> {
    /// When it was sent.
    pub sent: Now,
    /// Its queries in order; `None` where the default output has been given already.
    pub queries: Vec<Option<Finished<P>>>,
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
    /// Two replicas died while computing it.
    ReplicaDied,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NoReplica => "no replica connected",
            Reason::TimedOutInQueue => "timed out in queue",
            Reason::TimedOutAtReplica => "timed out at the replica",
            Reason::ReplicaDied => "replica died",
        })
    }
}

/// A query that is not taken, with what came with it.
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
}
