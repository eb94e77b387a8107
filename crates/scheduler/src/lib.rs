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
mod failures;
mod policy;
mod queue;
mod replica;
mod returns;
mod selection;
mod service_time;
mod types;
mod version;

use std::collections::{BTreeSet, HashMap, VecDeque};

use model::DataType;
use slab::Slab;

pub use types::{
    Action, AdaptivePolicy, AnsweredBatch, App, BatchFailure, BatchId, DefaultReason, Departure,
    DroppedQueries, Fingerprint, ModelVersion, NewReplica, OutgoingBatch, Query, QueryKey,
    QueueLoad, Queued, Refusal, Refused, ReplicaKey, ReplicaStatus, Rules, Timestamp,
};

use queue::QueueEntry;
use replica::ReplicaState;
use version::VersionState;

/// The state machine. `P` is the payload of a query: its input and the destination of its answer.
#[derive(Debug)]
pub struct Scheduler<P> {
    rules: Rules,
    versions: Slab<VersionState>,
    /// Index of each model version in `versions`.
    version_indices: HashMap<ModelVersion, usize>,
    /// Indices of the model versions that have queries in their queues.
    active: BTreeSet<usize>,
    /// Indexed by [`ReplicaKey`].
    replicas: Slab<ReplicaState>,
    /// Next time to check on each replica that needs it.
    checks: BTreeSet<ReplicaCheck>,
    /// Queries in a queue or at a replica, indexed by [`QueryKey`].
    queries: Slab<TrackedQuery<P>>,
    /// Actions that the caller has yet to take, oldest first.
    actions: VecDeque<Action<P>>,
    next_batch: BatchId,
    /// Sequence number of the next query.
    next_sequence: u64,
    /// True once [`Scheduler::close`] was called.
    closed: bool,
    dropped: DroppedQueries,
    /// Empty between two calls; keeps its memory.
    indices: Vec<usize>,
}

/// A time at which to check on a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ReplicaCheck {
    at: Timestamp,
    key: ReplicaKey,
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
    /// The replica that failed a batch with this query.
    failed_on: Option<ReplicaKey>,
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
            versions: Slab::new(),
            version_indices: HashMap::new(),
            active: BTreeSet::new(),
            replicas: Slab::new(),
            checks: BTreeSet::new(),
            queries: Slab::new(),
            actions: VecDeque::new(),
            next_batch: first_batch,
            next_sequence: 0,
            closed: false,
            dropped: DroppedQueries::default(),
            indices: Vec::new(),
        }
    }

    /// Returns the index of a model version, and adds the model version if it is new.
    fn add_version(&mut self, model: &ModelVersion) -> usize {
        if let Some(index) = self.version_indices.get(model) {
            return *index;
        }
        let index = self.versions.insert(VersionState::default());
        self.version_indices.insert(model.clone(), index);
        index
    }

    fn version(&self, model: &ModelVersion) -> Option<&VersionState> {
        self.version_indices
            .get(model)
            .map(|index| &self.versions[*index])
    }

    /// Updates the sets that list a replica, after a change of its state.
    fn update_sets(&mut self, key: ReplicaKey, now: Timestamp) {
        let Some(replica) = self.replicas.get_mut(key.0) else {
            return;
        };
        let open = replica.as_open(key, now);
        if open != replica.open
            && let Some(index) = self.version_indices.get(&replica.model)
        {
            let set = &mut self.versions[*index].open;
            if let Some(old) = std::mem::replace(&mut replica.open, open) {
                set.remove(&old);
            }
            set.extend(open);
        }
        let check_at = replica.next_check(&self.rules, now);
        if check_at != replica.check_at {
            if let Some(at) = std::mem::replace(&mut replica.check_at, check_at) {
                self.checks.remove(&ReplicaCheck { at, key });
            }
            self.checks
                .extend(check_at.map(|at| ReplicaCheck { at, key }));
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
        let index = self.add_version(&model);
        let version = &mut self.versions[index];
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
        let Some(index) = self.version_indices.remove(model) else {
            return Vec::new();
        };
        self.active.remove(&index);
        let version = self.versions.remove(index);
        for key in &version.replicas {
            self.replicas[key.0].open = None;
        }
        for key in version.queue.into_keys() {
            let query = self.queries.remove(key.0);
            answer_default(&mut self.actions, query, DefaultReason::NoReplica);
        }
        version.replicas
    }

    /// Adds a replica that is ready for batches.
    pub fn on_joined(&mut self, replica: NewReplica) -> ReplicaKey {
        let index = self.add_version(&replica.model);
        let state = ReplicaState::new(replica, &self.rules);
        let key = ReplicaKey(self.replicas.insert(state));
        self.versions[index].replicas.push(key);
        self.update_sets(key, Timestamp::ZERO);
        key
    }

    /// Returns the input type of a model version; `None` if the model version is not registered.
    pub fn input_type(&self, model: &ModelVersion) -> Option<DataType> {
        self.version(model)?.input_type
    }

    /// Returns the queue depth and the number of replicas of each model version.
    pub fn loads(&self) -> impl Iterator<Item = (&ModelVersion, QueueLoad)> {
        let versions = self.version_indices.iter();
        versions.map(|(model, index)| (model, self.versions[*index].load(&self.replicas)))
    }

    /// Returns the total number of queries in all queues, and their total size in bytes. Examines
    /// only the model versions that have a queue.
    pub fn queued(&self) -> Queued {
        let active = self.active.iter().map(|index| &self.versions[*index]);
        let empty = Queued {
            dropped: self.dropped,
            ..Queued::default()
        };
        active.fold(empty, |total, version| Queued {
            queries: total.queries + version.queue.len(),
            bytes: total.bytes + version.bytes,
            dropped: total.dropped,
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
        let index = model.and_then(|model| self.version_indices.get(model).copied());
        // Without a replica, a model version cannot serve the query.
        let index = index.filter(|index| !self.versions[*index].replicas.is_empty());
        if let (Some(index), Some(_)) = (index, self.rules.max_backlog) {
            self.versions[index].update_total_rate(&self.replicas, query.arrived);
        }
        let refusal = if self.closed {
            let app = query.app.clone();
            Some(Refusal::Stopping { app })
        } else {
            let version = index.map(|index| &self.versions[index]);
            refusal(&query, version, &self.replicas, &self.rules)
        };
        if let Some(refusal) = refusal {
            return Err(Refused { query, refusal });
        }
        let (size, fingerprint) = (query.size, query.fingerprint);
        let tracked = TrackedQuery {
            query: query.map(Some),
            sequence: self.next_sequence,
            suspect: false,
            failed_on: None,
        };
        self.next_sequence += 1;
        let Some(index) = index else {
            answer_default(&mut self.actions, tracked, DefaultReason::NoReplica);
            return Ok(None);
        };
        let key = QueryKey(self.queries.vacant_key());
        let (arrived, deadline) = (tracked.query.arrived, tracked.query.deadline);
        let objective = deadline.saturating_sub(arrived);
        let version = &mut self.versions[index];
        version.objectives.add(objective, arrived);
        version.bytes += size;
        version.queue.push(tracked.queue_entry(key), fingerprint);
        self.queries.insert(tracked);
        self.active.insert(index);
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
