//! Which queries go to which replica, and when: a state machine without I/O and without a clock.
//!
//! In: a query came, a replica joined, answered or left, time passed. Out: [`Action`]s, and from a response the queries
//! that it answers. Every method is told the time, as what has passed since any fixed moment.
//!
//! - One queue per model version, earliest deadline first; several replicas pull from it.
//! - A batch takes what is waiting, up to the model version's maximum, or what a policy finds to be in time; an idle replica
//!   may wait a little for a fuller batch. Idle replicas come first. A busy one gets its next
//!   batch ahead when that is full, or when the running one is expected to end soon: a few queries sent ahead early would
//!   freeze a small batch, and could not move to a replica that falls idle.
//! - A query is answered with the default output when its deadline passes, wherever it is.
//! - A replica that dies hands its queries back. The batch that it was computing may have killed it: each of its queries
//!   is tried once more, in a batch of its own. The same goes for one that hangs; it gets no more until it answers.
//! - Queries with the same fingerprint are computed once: the others wait for that answer, each until its own deadline. When
//!   the first one leaves without an answer, the next is computed.
//! - A query for which there is no room is refused at once; one that is taken back leaves its place at once.

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
    Action, Adaptive, Answered, App, BatchId, Fingerprint, Joining, Left, Load, ModelVersion,
    Query, QueryKey, Reason, Refusal, Refused, ReplicaKey, Rules, Send, Timestamp,
};

use queue::{Place, Queue};
use replica::Replica;

/// The state machine. `P` is what comes with a query: its input, and where the answer goes.
#[derive(Debug)]
pub struct Scheduler<P> {
    rules: Rules,
    versions: HashMap<ModelVersion, Version>,
    replicas: Slab<Replica>,
    queries: Slab<Held<P>>,
    actions: VecDeque<Action<P>>,
    next_batch: BatchId,
    next_sequence: u64,
    closed: bool,
}

/// A model version: its queue, and the replicas that pull from it.
#[derive(Debug, Default)]
struct Version {
    max_batch: Option<usize>,
    input_type: Option<DataType>,
    queue: Queue,
    /// Of the inputs that wait.
    bytes: usize,
    replicas: Vec<ReplicaKey>,
}

impl Version {
    /// The type that it takes, if that is not this one.
    fn takes_other(&self, input_type: DataType, replicas: &Slab<Replica>) -> Option<DataType> {
        if let Some(takes) = self.input_type {
            // Its replicas take the same: others are not let in.
            return (takes != input_type).then_some(takes);
        }
        let mut takes = self.replicas.iter().map(|key| replicas[key.0].input_type);
        takes.find(|takes| *takes != input_type)
    }

    /// Whether an input of this size finds no room.
    fn is_full(&self, size: usize, rules: &Rules) -> bool {
        self.queue.waiting() >= rules.max_queries
            || self.bytes.saturating_add(size) > rules.max_bytes
    }
}

/// A query that waits, or that a replica has.
#[derive(Debug)]
struct Held<P> {
    /// Its payload is `None` once nobody waits for it any more while a replica has it.
    query: Query<Option<P>>,
    /// Its place among the queries of one deadline.
    sequence: u64,
    /// A replica died computing it: it goes alone, and is not tried a third time.
    suspect: bool,
}

impl<P> Held<P> {
    /// Where it stands in its queue.
    fn place(&self, key: QueryKey) -> Place {
        Place {
            deadline: self.query.deadline,
            sequence: self.sequence,
            key,
        }
    }

    /// What the caller gets back, unless it has it already.
    fn finish(mut self) -> Option<Query<P>> {
        let payload = self.query.payload.take()?;
        Some(self.query.map(|_| payload))
    }

    /// The same while a replica has it.
    fn leave(&mut self) -> Option<Query<P>> {
        let payload = self.query.payload.take()?;
        Some(self.query.with(payload))
    }
}

impl<P> Scheduler<P> {
    /// An empty scheduler. Batches are numbered from `first_batch`, wrapping around.
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

    /// Says what a model version takes. Without a maximum, a policy finds it. Answers the replicas that take another type:
    /// they are of no use, and the caller must make them leave.
    pub fn set_model(
        &mut self,
        model: ModelVersion,
        input_type: DataType,
        max: Option<usize>,
    ) -> Vec<ReplicaKey> {
        let version = self.versions.entry(model).or_default();
        version.input_type = Some(input_type);
        version.max_batch = max;
        let replicas = version.replicas.iter().copied();
        replicas
            .filter(|key| self.replicas[key.0].input_type != input_type)
            .collect()
    }

    /// Forgets a model version: its queries are given the default output. Answers its replicas, which the caller must
    /// make leave.
    pub fn remove_model(&mut self, model: &ModelVersion) -> Vec<ReplicaKey> {
        let Some(version) = self.versions.remove(model) else {
            return Vec::new();
        };
        for key in version.queue.into_waiting() {
            let query = self.queries.remove(key.0);
            default(&mut self.actions, query, Reason::NoReplica);
        }
        version.replicas
    }

    /// A replica is ready for work.
    pub fn on_joined(&mut self, joining: Joining) -> ReplicaKey {
        let version = self.versions.entry(joining.model.clone()).or_default();
        let key = ReplicaKey(self.replicas.insert(Replica::new(joining, &self.rules)));
        version.replicas.push(key);
        key
    }

    /// The type that replicas of this model version must take, once it is known.
    pub fn input_type(&self, model: &ModelVersion) -> Option<DataType> {
        self.versions.get(model)?.input_type
    }

    /// What waits for each model version.
    pub fn loads(&self) -> impl Iterator<Item = (&ModelVersion, Load)> {
        self.versions.iter().map(|(model, version)| {
            let load = Load {
                queries: version.queue.waiting(),
                bytes: version.bytes,
                replicas: version.replicas.len(),
            };
            (model, load)
        })
    }

    /// A query came. Call [`Scheduler::dispatch`] after the last event of a turn. Returns the key by which the query
    /// can be taken back; `None` if no replica is connected, so that it gets the default output.
    ///
    /// # Errors
    /// If it is refused: why, and the query.
    #[expect(
        clippy::result_large_err,
        reason = "a box would be an allocation for each query that is refused"
    )]
    pub fn on_query(&mut self, query: Query<P>) -> Result<Option<QueryKey>, Refused<P>> {
        let model = query.model.as_deref();
        let version = model.and_then(|model| self.versions.get_mut(model));
        let version = version.filter(|version| !version.replicas.is_empty());
        let refusal = match self.closed {
            true => Some(Refusal::Stopping {
                app: query.app.clone(),
            }),
            false => refusal(&query, version.as_deref(), &self.replicas, &self.rules),
        };
        if let Some(refusal) = refusal {
            return Err(Refused { query, refusal });
        }
        let (size, fingerprint) = (query.size, query.fingerprint);
        let held = Held {
            query: query.map(Some),
            sequence: self.next_sequence,
            suspect: false,
        };
        self.next_sequence += 1;
        let Some(version) = version else {
            default(&mut self.actions, held, Reason::NoReplica);
            return Ok(None);
        };
        let key = QueryKey(self.queries.vacant_key());
        version.bytes += size;
        version.queue.push(held.place(key), fingerprint);
        self.queries.insert(held);
        Ok(Some(key))
    }

    /// Takes no more queries; those that are under way end as they would have.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Gives every query that somebody waits for the default output. What replicas still answer goes nowhere.
    pub fn give_up(&mut self) {
        let waiting: Vec<QueryKey> = self.waiting().map(|(key, _)| key).collect();
        for key in waiting {
            let query = self.take_back(key);
            let action = query.map(|query| Action::Default(query, Reason::Stopping));
            self.actions.extend(action);
        }
    }

    /// What is to be done next.
    pub fn next_action(&mut self) -> Option<Action<P>> {
        self.actions.pop_front()
    }

    /// What came with a query of a batch; `None` once nobody waits for it.
    pub fn payload(&self, query: QueryKey) -> Option<&P> {
        self.queries.get(query.0)?.query.payload.as_ref()
    }

    /// Every query that somebody waits for, and what came with it.
    pub fn waiting(&self) -> impl Iterator<Item = (QueryKey, &P)> {
        let queries = self.queries.iter();
        queries.filter_map(|(key, held)| Some((QueryKey(key), held.query.payload.as_ref()?)))
    }
}

/// Why a query is not taken by a scheduler that takes any; `version` has replicas.
fn refusal<P>(
    query: &Query<P>,
    version: Option<&Version>,
    replicas: &Slab<Replica>,
    rules: &Rules,
) -> Option<Refusal> {
    let (app, got) = (&query.app, query.input_type);
    if got != app.input_type {
        let app = app.clone();
        return Some(Refusal::InputType { app, got });
    }
    let (model, version) = (query.model.as_deref()?, version?);
    if let Some(takes) = version.takes_other(got, replicas) {
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
            queries: version.queue.waiting(),
            bytes: version.bytes,
        })
}

fn default<P>(actions: &mut VecDeque<Action<P>>, query: Held<P>, reason: Reason) {
    actions.extend(query.finish().map(|query| Action::Default(query, reason)));
}
