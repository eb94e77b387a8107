//! Which queries go to which replica, and when: a state machine without I/O and without a clock.
//!
//! In: a query came, a replica joined, answered or left, time passed. Out: [`Action`]s, and from a response the queries
//! that it answers. Every method is told the time, as what has passed since any fixed moment.
//!
//! - One queue per model version, earliest deadline first; several replicas pull from it.
//! - A batch takes what is waiting, up to the model version's maximum. Idle replicas come first. A busy one gets its next
//!   batch ahead when that is full, or when the running one is expected to end soon: a few queries sent ahead early would
//!   freeze a small batch, and could not move to a replica that falls idle.
//! - A query is answered with the default output when its deadline passes, wherever it is.
//! - A replica that dies hands its queries back. The batch that it was computing may have killed it: each of its queries
//!   is tried once more, in a batch of its own.

mod queue;
mod replica;
mod types;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use model::DataType;
use slab::Slab;

pub use types::{
    Action, Answered, App, Arriving, BatchId, Finished, Joining, Left, ModelVersion, Now, QueryKey,
    Reason, Refusal, ReplicaKey, Send,
};

use queue::Queue;
use replica::{Batch, Replica};

/// The state machine. `P` is what comes with a query: its input, and where the answer goes.
#[derive(Debug)]
pub struct Scheduler<P> {
    apps: HashMap<String, AppState>,
    current: HashMap<String, ModelVersion>,
    versions: HashMap<ModelVersion, Version>,
    replicas: Slab<Replica>,
    queries: Slab<Query<P>>,
    actions: VecDeque<Action<P>>,
    next_batch: BatchId,
    next_sequence: u64,
}

#[derive(Debug)]
struct AppState {
    app: Arc<App>,
    model: Option<String>,
}

/// A model version: its queue, and the replicas that pull from it.
#[derive(Debug, Default)]
struct Version {
    max_batch: Option<usize>,
    input_type: Option<DataType>,
    queue: Queue,
    replicas: Vec<ReplicaKey>,
}

#[derive(Debug)]
struct Query<P> {
    /// `None` once the default output has been given for it while a replica has it.
    payload: Option<P>,
    app: Arc<App>,
    arrived: Now,
    deadline: Now,
    /// Its place among the queries of one deadline.
    sequence: u64,
    /// A replica died computing it: it goes alone, and is not tried a third time.
    suspect: bool,
}

impl<P> Query<P> {
    /// What the caller gets back, unless it has it already.
    fn finish(self) -> Option<Finished<P>> {
        Some(Finished {
            payload: self.payload?,
            app: self.app,
            arrived: self.arrived,
        })
    }
}

impl<P> Scheduler<P> {
    /// An empty scheduler. Batches are numbered from `first_batch`, wrapping around.
    pub fn new(first_batch: BatchId) -> Scheduler<P> {
        Scheduler {
            apps: HashMap::new(),
            current: HashMap::new(),
            versions: HashMap::new(),
            replicas: Slab::new(),
            queries: Slab::new(),
            actions: VecDeque::new(),
            next_batch: first_batch,
            next_sequence: 0,
        }
    }

    /// Adds an application, or replaces it; queries that are under way keep what they came with.
    pub fn set_app(&mut self, app: App) {
        let model = self.apps.remove(&app.name).and_then(|old| old.model);
        let name = app.name.clone();
        let app = Arc::new(app);
        self.apps.insert(name, AppState { app, model });
    }

    /// Links an application to a model.
    pub fn link(&mut self, app: &str, model: &str) {
        if let Some(app) = self.apps.get_mut(app) {
            app.model = Some(model.to_owned());
        }
    }

    /// Says what a model version takes. Without a maximum, batches are of one. Answers the replicas that take another type:
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

    /// From now on, queries for the model go to this version; older ones finish their own.
    pub fn set_current_version(&mut self, model: ModelVersion) {
        self.current.insert(model.name.clone(), model);
    }

    /// A replica is ready for work.
    pub fn on_joined(&mut self, joining: Joining) -> ReplicaKey {
        let version = self.versions.entry(joining.model.clone()).or_default();
        let key = ReplicaKey(self.replicas.insert(Replica::new(joining)));
        version.replicas.push(key);
        key
    }

    /// The type that replicas of this model version must take, once it is known.
    pub fn input_type(&self, model: &ModelVersion) -> Option<DataType> {
        self.versions.get(model)?.input_type
    }

    /// A query came. Call [`Scheduler::dispatch`] when all that came has been told.
    pub fn on_query(&mut self, arriving: Arriving<'_, P>, now: Now) -> Result<(), (P, Refusal)> {
        let Arriving {
            app,
            input_type,
            within,
            payload,
        } = arriving;
        let Some(AppState { app, model }) = self.apps.get(app) else {
            return Err((payload, Refusal::UnknownApp));
        };
        if input_type != app.input_type {
            let app = app.clone();
            let got = input_type;
            return Err((payload, Refusal::InputType { app, got }));
        }
        let query = Query {
            payload: Some(payload),
            app: app.clone(),
            arrived: now,
            deadline: now.saturating_add(within.unwrap_or(app.objective)),
            sequence: self.next_sequence,
            suspect: false,
        };
        self.next_sequence += 1;
        let version = model
            .as_ref()
            .and_then(|model| self.current.get(model))
            .and_then(|current| self.versions.get_mut(current))
            .filter(|version| !version.replicas.is_empty());
        match version {
            Some(version) => {
                let (deadline, sequence) = (query.deadline, query.sequence);
                let key = QueryKey(self.queries.insert(query));
                version.queue.push(deadline, sequence, key);
            }
            None => default(&mut self.actions, query, Reason::NoReplica),
        }
        Ok(())
    }

    /// A replica answered a batch, or failed it: its queries leave. `None` if it has no such batch.
    pub fn on_answered(
        &mut self,
        replica: ReplicaKey,
        batch: BatchId,
        now: Now,
    ) -> Option<Answered<P>> {
        let batch = self.replicas.get_mut(replica.0)?.take(batch, now)?;
        let queries = batch
            .queries
            .iter()
            .map(|key| self.queries.remove(key.0).finish())
            .collect();
        Some(Answered {
            sent: batch.sent,
            queries,
        })
    }

    /// A batch could not be sent: nobody has seen it, and its queries go back to the queue as they were.
    pub fn on_unsent(&mut self, replica: ReplicaKey, batch: BatchId) {
        let Some(replica) = self.replicas.get_mut(replica.0) else {
            return;
        };
        let model = replica.model.clone();
        if let Some(batch) = replica.take_back(batch) {
            self.hand_back(&model, batch, false);
        }
    }

    /// A replica is gone: what it had goes back to the queue.
    pub fn on_left(&mut self, replica: ReplicaKey, left: Left) {
        let Some(gone) = self.replicas.try_remove(replica.0) else {
            return;
        };
        for (position, batch) in gone.in_flight.into_iter().enumerate() {
            let computing = position == 0;
            self.hand_back(&gone.model, batch, computing && left == Left::Died);
        }
        let version = self.versions.entry(gone.model.clone()).or_default();
        version.replicas.retain(|key| *key != replica);
        let unknown = version.input_type.is_none();
        if unknown && version.replicas.is_empty() && version.queue.len() == 0 {
            self.versions.remove(&gone.model);
        }
    }

    /// Puts a batch's queries back into the queue; those that a replica died computing for the second time are given up.
    fn hand_back(&mut self, model: &ModelVersion, batch: Batch, suspect: bool) {
        let version = self.versions.entry(model.clone()).or_default();
        for key in batch.queries {
            let query = &mut self.queries[key.0];
            if query.payload.is_none() || (suspect && query.suspect) {
                let query = self.queries.remove(key.0);
                default(&mut self.actions, query, Reason::ReplicaDied);
            } else {
                query.suspect |= suspect;
                version.queue.push(query.deadline, query.sequence, key);
            }
        }
    }

    /// Gives the default output to every query whose deadline has passed, then hands out work.
    pub fn dispatch(&mut self, now: Now) {
        self.expire(now);
        for version in self.versions.values_mut() {
            while let Some(key) = next_replica(version, &self.replicas, now) {
                let replica = &mut self.replicas[key.0];
                let max = max_batch(version.max_batch, replica);
                let queries = version
                    .queue
                    .take_batch(max, |key| self.queries[key.0].suspect);
                let deadline = queries
                    .iter()
                    .map(|key| self.queries[key.0].deadline)
                    .min()
                    .expect("a batch is never empty");
                let batch = self.next_batch;
                self.next_batch = batch.wrapping_add(1);
                replica.in_flight.push_back(Batch {
                    id: batch,
                    queries: queries.clone(),
                    sent: now,
                    deadline,
                });
                replica.sent(now);
                self.actions.push_back(Action::Send(Send {
                    replica: key,
                    batch,
                    queries,
                    deadline,
                }));
            }
        }
    }

    /// When [`Scheduler::dispatch`] has something to do though nothing else happens.
    pub fn next_wake(&self) -> Option<Now> {
        let queued = self.versions.values().filter_map(|v| v.queue.earliest());
        let ahead = self
            .versions
            .values()
            .filter(|version| version.queue.earliest().is_some())
            .flat_map(|version| &version.replicas)
            .filter_map(|key| self.replicas[key.0].ahead_at());
        let away = self
            .replicas
            .iter()
            .flat_map(|(_, replica)| &replica.in_flight)
            .map(|batch| batch.deadline)
            .filter(|deadline| *deadline != Now::MAX);
        queued.chain(ahead).chain(away).min()
    }

    /// What is to be done next.
    pub fn next_action(&mut self) -> Option<Action<P>> {
        self.actions.pop_front()
    }

    /// What came with a query of a batch; `None` once its default output has been given.
    pub fn payload(&self, query: QueryKey) -> Option<&P> {
        self.queries.get(query.0)?.payload.as_ref()
    }

    fn expire(&mut self, now: Now) {
        for version in self.versions.values_mut() {
            while let Some(key) = version.queue.pop_expired(now) {
                let query = self.queries.remove(key.0);
                default(&mut self.actions, query, Reason::TimedOutInQueue);
            }
        }
        for (_, replica) in &mut self.replicas {
            for batch in &mut replica.in_flight {
                if batch.deadline > now {
                    continue;
                }
                let mut next = Now::MAX;
                for key in &batch.queries {
                    let query = &mut self.queries[key.0];
                    if query.deadline > now {
                        next = next.min(query.deadline);
                    } else if let Some(payload) = query.payload.take() {
                        let finished = Finished {
                            payload,
                            app: query.app.clone(),
                            arrived: query.arrived,
                        };
                        let action = Action::Default(finished, Reason::TimedOutAtReplica);
                        self.actions.push_back(action);
                    }
                }
                batch.deadline = next;
            }
        }
    }
}

fn default<P>(actions: &mut VecDeque<Action<P>>, query: Query<P>, reason: Reason) {
    actions.extend(query.finish().map(|query| Action::Default(query, reason)));
}

/// The replica that the next batch goes to: an idle one, else a busy one whose next batch may go ahead; among equals the
/// one that has waited longest.
fn next_replica(version: &Version, replicas: &Slab<Replica>, now: Now) -> Option<ReplicaKey> {
    let waiting = version.queue.len();
    if waiting == 0 {
        return None;
    }
    let may_have = |replica: &Replica| {
        replica.in_flight.is_empty()
            || waiting >= max_batch(version.max_batch, replica)
            || replica.ahead_at().is_some_and(|at| at <= now)
    };
    version
        .replicas
        .iter()
        .map(|key| (*key, &replicas[key.0]))
        .filter(|(_, replica)| replica.has_room())
        .filter(|(_, replica)| may_have(replica))
        .min_by_key(|(_, replica)| (replica.in_flight.len(), replica.last_sent))
        .map(|(key, _)| key)
}

fn max_batch(of_version: Option<usize>, replica: &Replica) -> usize {
    let max = of_version.unwrap_or(1);
    max.min(replica.max_batch.unwrap_or(max)).max(1)
}
