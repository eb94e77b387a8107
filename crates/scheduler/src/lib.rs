//! Assigns queries to replicas: a state machine without I/O and without a clock.
//!
//! The main path has four steps:
//!
//! 1. [`Scheduler::on_query`] puts a query into the queue of its model version, or refuses it.
//! 2. [`Scheduler::dispatch`] answers queries whose deadline has passed with the default output,
//!    and assigns batches to replicas.
//! 3. [`Scheduler::next_action`] returns what the caller has to do: send a batch, or answer a query
//!    with the default output.
//! 4. [`Scheduler::on_answered`] takes the response to a batch, and returns the queries that it
//!    answers.
//!
//! Methods take the time as a parameter, measured from any fixed moment.
//!
//! These rules hold:
//!
//! - Each model version has one queue, ordered by deadline. All its replicas take batches from it.
//! - A batch holds the first queries of the queue, up to the maximum of the model version. If the
//!   model version has no maximum, an [`AdaptivePolicy`] sets it. With a batch delay, an idle
//!   replica waits that long for a fuller batch.
//! - Idle replicas come first. A busy replica gets its next batch ahead of time only if that batch
//!   is full, or if the running batch is expected to end soon: a small batch that is sent early can
//!   neither grow nor move to a replica that becomes idle.
//! - A query that is unanswered at its deadline gets the default output, whether it is in the queue
//!   or at a replica.
//! - When a replica dies, its queries return to the queue. Those of the batch that it was computing
//!   may have caused the death: each is retried once, in a batch of its own. The same holds for a
//!   replica that hangs; it gets no further batch until it answers.
//! - Queries with the same fingerprint are computed once. The others wait for the answer to the
//!   first, each until its own deadline. If the first ends without an answer, the next one is
//!   computed.
//! - A query for which the queue has no room is refused at once. A cancelled query makes room at
//!   once.

mod dispatch;
mod policy;
mod queue;
mod replica;
mod returns;
mod types;

use std::collections::{HashMap, VecDeque};

use model::DataType;
use slab::Slab;

pub use types::{
    Action, AdaptivePolicy, AnsweredBatch, App, BatchId, DefaultReason, Departure, Fingerprint,
    ModelVersion, NewReplica, OutgoingBatch, Query, QueryKey, QueueLoad, Refusal, Refused,
    ReplicaKey, Rules, Timestamp,
};

use queue::{Queue, QueueEntry};
use replica::ReplicaState;

/// The state machine. `P` is the payload of a query: its input and the destination of its answer.
#[derive(Debug)]
pub struct Scheduler<P> {
    rules: Rules,
    versions: HashMap<ModelVersion, VersionState>,
    /// Indexed by [`ReplicaKey`].
    replicas: Slab<ReplicaState>,
    /// Queries in a queue or at a replica, indexed by [`QueryKey`].
    queries: Slab<TrackedQuery<P>>,
    /// Actions that the caller has yet to take, oldest first.
    actions: VecDeque<Action<P>>,
    next_batch: BatchId,
    /// Sequence number of the next query.
    next_sequence: u64,
    /// True once [`Scheduler::close`] was called.
    closed: bool,
}

/// The queue of a model version, and the replicas that take batches from it.
#[derive(Debug, Default)]
struct VersionState {
    /// Maximum number of queries in a batch; `None` leaves it to the adaptive policy of each
    /// replica.
    max_batch: Option<usize>,
    /// `None` until the model version is registered.
    input_type: Option<DataType>,
    queue: Queue,
    /// Total size of the queued inputs, in bytes.
    bytes: usize,
    replicas: Vec<ReplicaKey>,
}

impl VersionState {
    /// Returns the input type of this model version if it differs from `input_type`.
    fn mismatched_type(
        &self,
        input_type: DataType,
        replicas: &Slab<ReplicaState>,
    ) -> Option<DataType> {
        if let Some(registered) = self.input_type {
            // The replicas have the same type: the caller refuses or removes others.
            return (registered != input_type).then_some(registered);
        }
        let mut types = self.replicas.iter().map(|key| replicas[key.0].input_type);
        types.find(|found| *found != input_type)
    }

    /// Returns true if the queue has no room for an input of `size` bytes.
    fn is_full(&self, size: usize, rules: &Rules) -> bool {
        self.queue.len() >= rules.max_queries || self.bytes.saturating_add(size) > rules.max_bytes
    }
}

/// A query in a queue or at a replica.
#[derive(Debug)]
struct TrackedQuery<P> {
    /// The payload is `None` if the query was answered or cancelled while a replica still has it.
    query: Query<Option<P>>,
    /// Orders queries that have the same deadline by arrival.
    sequence: u64,
    /// True if a replica died or hung while computing this query. It is then retried once, in a
    /// batch of its own.
    suspect: bool,
}

impl<P> TrackedQuery<P> {
    /// Returns the entry that stands for this query in its queue.
    fn queue_entry(&self, key: QueryKey) -> QueueEntry {
        QueueEntry {
            deadline: self.query.deadline,
            sequence: self.sequence,
            key,
        }
    }

    /// Returns the query; `None` if it was answered or cancelled before.
    fn into_unanswered(mut self) -> Option<Query<P>> {
        let payload = self.query.payload.take()?;
        Some(self.query.map(|_| payload))
    }

    /// Returns the query without removing it, because a replica still has it; `None` if it was
    /// answered or cancelled before.
    fn take_unanswered(&mut self) -> Option<Query<P>> {
        let payload = self.query.payload.take()?;
        Some(self.query.with(payload))
    }
}

impl<P> Scheduler<P> {
    /// Creates a scheduler without models and replicas. Batches are numbered from `first_batch`,
    /// wrapping around.
    pub fn new(first_batch: BatchId, rules: Rules) -> Scheduler<P> {
        Scheduler {
            rules,
            versions: HashMap::new(),
            replicas: Slab::new(),
            queries: Slab::new(),
            actions: VecDeque::new(),
            next_batch: first_batch,
            next_sequence: 0,
            closed: false,
        }
    }

    /// Registers a model version, or changes it. Without a `max_batch`, the adaptive policy sizes
    /// its batches.
    ///
    /// Returns the replicas that have another input type. They are of no use; the caller must call
    /// [`Scheduler::on_left`] for each.
    pub fn set_model(
        &mut self,
        model: ModelVersion,
        input_type: DataType,
        max_batch: Option<usize>,
    ) -> Vec<ReplicaKey> {
        let version = self.versions.entry(model).or_default();
        version.input_type = Some(input_type);
        version.max_batch = max_batch;
        let replicas = version.replicas.iter().copied();
        replicas
            .filter(|key| self.replicas[key.0].input_type != input_type)
            .collect()
    }

    /// Removes a model version, and answers its queued queries with the default output.
    ///
    /// Returns its replicas; the caller must call [`Scheduler::on_left`] for each.
    pub fn remove_model(&mut self, model: &ModelVersion) -> Vec<ReplicaKey> {
        let Some(version) = self.versions.remove(model) else {
            return Vec::new();
        };
        for key in version.queue.into_keys() {
            let query = self.queries.remove(key.0);
            answer_default(&mut self.actions, query, DefaultReason::NoReplica);
        }
        version.replicas
    }

    /// Adds a replica that is ready for batches.
    pub fn on_joined(&mut self, replica: NewReplica) -> ReplicaKey {
        let version = self.versions.entry(replica.model.clone()).or_default();
        let key = ReplicaKey(
            self.replicas
                .insert(ReplicaState::new(replica, &self.rules)),
        );
        version.replicas.push(key);
        key
    }

    /// Returns the input type of a model version; `None` if the model version is not registered.
    pub fn input_type(&self, model: &ModelVersion) -> Option<DataType> {
        self.versions.get(model)?.input_type
    }

    /// Returns the queue depth and the number of replicas of each model version.
    pub fn loads(&self) -> impl Iterator<Item = (&ModelVersion, QueueLoad)> {
        self.versions.iter().map(|(model, version)| {
            let load = QueueLoad {
                queries: version.queue.len(),
                bytes: version.bytes,
                replicas: version.replicas.len(),
            };
            (model, load)
        })
    }

    /// Puts a query into the queue of its model version. Call [`Scheduler::dispatch`] afterwards;
    /// one call is enough for several events.
    ///
    /// Returns the key for [`Scheduler::cancel`]; `None` if the model version has no replica, so
    /// that the query gets the default output.
    ///
    /// # Errors
    /// If the query is refused: returns it with the reason.
    #[expect(
        clippy::result_large_err,
        reason = "a box would be an allocation for each query that is refused"
    )]
    pub fn on_query(&mut self, query: Query<P>) -> Result<Option<QueryKey>, Refused<P>> {
        let model = query.model.as_deref();
        let version = model.and_then(|model| self.versions.get_mut(model));
        // Without a replica, a model version cannot serve the query.
        let version = version.filter(|version| !version.replicas.is_empty());
        let refusal = if self.closed {
            let app = query.app.clone();
            Some(Refusal::Stopping { app })
        } else {
            refusal(&query, version.as_deref(), &self.replicas, &self.rules)
        };
        if let Some(refusal) = refusal {
            return Err(Refused { query, refusal });
        }
        let (size, fingerprint) = (query.size, query.fingerprint);
        let tracked = TrackedQuery {
            query: query.map(Some),
            sequence: self.next_sequence,
            suspect: false,
        };
        self.next_sequence += 1;
        let Some(version) = version else {
            answer_default(&mut self.actions, tracked, DefaultReason::NoReplica);
            return Ok(None);
        };
        let key = QueryKey(self.queries.vacant_key());
        version.bytes += size;
        version.queue.push(tracked.queue_entry(key), fingerprint);
        self.queries.insert(tracked);
        Ok(Some(key))
    }

    /// Refuses all further queries. Those in flight are served as before.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Answers every unanswered query with the default output. Later responses of replicas are
    /// discarded.
    pub fn abort(&mut self) {
        let unanswered: Vec<QueryKey> = self.unanswered().map(|(key, _)| key).collect();
        for key in unanswered {
            let query = self.cancel(key);
            let action = query.map(|query| Action::AnswerDefault(query, DefaultReason::Stopping));
            self.actions.extend(action);
        }
    }

    /// Takes the next action; `None` if there is none until the next event or deadline.
    pub fn next_action(&mut self) -> Option<Action<P>> {
        self.actions.pop_front()
    }

    /// Returns the payload of a query; `None` if the query was answered or cancelled.
    pub fn payload(&self, query: QueryKey) -> Option<&P> {
        self.queries.get(query.0)?.query.payload.as_ref()
    }

    /// Returns the unanswered queries with their payloads, those in queues and those at replicas.
    pub fn unanswered(&self) -> impl Iterator<Item = (QueryKey, &P)> {
        self.queries
            .iter()
            .filter_map(|(key, tracked)| Some((QueryKey(key), tracked.query.payload.as_ref()?)))
    }
}

/// Returns the reason to refuse a query; `None` accepts it. `version` is its model version, if that
/// has replicas.
fn refusal<P>(
    query: &Query<P>,
    version: Option<&VersionState>,
    replicas: &Slab<ReplicaState>,
    rules: &Rules,
) -> Option<Refusal> {
    let (app, got) = (&query.app, query.input_type);
    if got != app.input_type {
        let app = app.clone();
        return Some(Refusal::InputType { app, got });
    }
    let (model, version) = (query.model.as_deref()?, version?);
    if let Some(takes) = version.mismatched_type(got, replicas) {
        return Some(Refusal::ModelInputType {
            app: app.clone(),
            model: model.clone(),
            takes,
            got,
        });
    }
    version
        .is_full(query.size, rules)
        .then(|| Refusal::Overloaded {
            app: app.clone(),
            model: model.clone(),
            queries: version.queue.len(),
            bytes: version.bytes,
        })
}

/// Appends the action that answers a query with the default output, unless the query was answered
/// or cancelled.
fn answer_default<P>(
    actions: &mut VecDeque<Action<P>>,
    query: TrackedQuery<P>,
    reason: DefaultReason,
) {
    let query = query.into_unanswered();
    actions.extend(query.map(|query| Action::AnswerDefault(query, reason)));
}
