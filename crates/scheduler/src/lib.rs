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

use std::{
    borrow::Cow,
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use model::DataType;
use slab::Slab;

pub use types::{
    Action, Adaptive, Answered, App, Arriving, BatchId, Fingerprint, Finished, Joining, Left, Load,
    ModelVersion, Now, QueryKey, Reason, Refusal, ReplicaKey, Rules, Send,
};

use queue::{Place, Queue};
use replica::Replica;

/// The state machine. `P` is what comes with a query: its input, and where the answer goes.
#[derive(Debug)]
pub struct Scheduler<P> {
    rules: Rules,
    apps: HashMap<String, AppState>,
    current: HashMap<String, ModelVersion>,
    versions: HashMap<ModelVersion, Version>,
    replicas: Slab<Replica>,
    queries: Slab<Query<P>>,
    actions: VecDeque<Action<P>>,
    next_batch: BatchId,
    next_sequence: u64,
    closed: bool,
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

#[derive(Debug)]
struct Query<P> {
    /// `None` once nobody waits for it any more while a replica has it.
    payload: Option<P>,
    app: Arc<App>,
    size: usize,
    fingerprint: Option<Fingerprint>,
    arrived: Now,
    deadline: Now,
    /// Its place among the queries of one deadline.
    sequence: u64,
    /// A replica died computing it: it goes alone, and is not tried a third time.
    suspect: bool,
}

impl<P> Query<P> {
    /// Where it stands in its queue.
    fn place(&self, key: QueryKey) -> Place {
        Place {
            deadline: self.deadline,
            sequence: self.sequence,
            key,
        }
    }

    /// What the caller gets back, unless it has it already.
    fn finish(mut self) -> Option<Finished<P>> {
        self.leave()
    }

    /// The same while a replica has it.
    fn leave(&mut self) -> Option<Finished<P>> {
        Some(Finished {
            payload: self.payload.take()?,
            app: self.app.clone(),
            arrived: self.arrived,
        })
    }
}

impl<P> Scheduler<P> {
    /// An empty scheduler. Batches are numbered from `first_batch`, wrapping around.
    pub fn new(first_batch: BatchId, rules: Rules) -> Scheduler<P> {
        Scheduler {
            rules,
            apps: HashMap::new(),
            current: HashMap::new(),
            versions: HashMap::new(),
            replicas: Slab::new(),
            queries: Slab::new(),
            actions: VecDeque::new(),
            next_batch: first_batch,
            next_sequence: 0,
            closed: false,
        }
    }

    /// Adds an application, or replaces it; queries that are under way keep what they came with.
    pub fn set_app(&mut self, app: App) {
        let model = self.apps.remove(&app.name).and_then(|old| old.model);
        let name = app.name.clone();
        let app = Arc::new(app);
        self.apps.insert(name, AppState { app, model });
    }

    /// Forgets an application; queries that are under way end as they would have.
    pub fn remove_app(&mut self, app: &str) {
        self.apps.remove(app);
    }

    /// Links an application to a model.
    pub fn link(&mut self, app: &str, model: &str) {
        if let Some(app) = self.apps.get_mut(app) {
            app.model = Some(model.to_owned());
        }
    }

    /// Takes an application's link back.
    pub fn unlink(&mut self, app: &str) {
        if let Some(app) = self.apps.get_mut(app) {
            app.model = None;
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
        if self.current.get(&model.name) == Some(model) {
            self.current.remove(&model.name);
        }
        let Some(version) = self.versions.remove(model) else {
            return Vec::new();
        };
        for key in version.queue.into_waiting() {
            let query = self.queries.remove(key.0);
            default(&mut self.actions, query, Reason::NoReplica);
        }
        version.replicas
    }

    /// From now on, queries for the model go to this version; older ones finish their own.
    pub fn set_current_version(&mut self, model: ModelVersion) {
        self.current.insert(model.name.clone(), model);
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

    /// The application of this name, and the model version that its queries go to: the current one, or the one that is asked
    /// for. `None` if there is no such application or model version.
    pub fn destination(
        &self,
        app: &str,
        version: Option<&str>,
    ) -> Option<(&Arc<App>, Cow<'_, ModelVersion>)> {
        let AppState { app, model } = self.apps.get(app)?;
        let name = model.as_ref()?;
        let current = self.current.get(name).map(Cow::Borrowed);
        let wanted = named(model.as_ref(), version).map(Cow::Owned);
        let model = wanted.or(current)?;
        self.versions.contains_key(&*model).then_some((app, model))
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

    /// A query came. Call [`Scheduler::dispatch`] when all that came has been told. Answers by what name it can be taken
    /// back; none if no replica is connected, so that it is given the default output.
    ///
    /// # Errors
    /// If it is refused: why, and what came with it.
    pub fn on_query(
        &mut self,
        arriving: Arriving<'_, P>,
        now: Now,
    ) -> Result<Option<QueryKey>, (P, Refusal)> {
        let Arriving {
            app,
            version,
            input_type,
            within,
            size,
            fingerprint,
            payload,
        } = arriving;
        let Some(AppState { app, model }) = self.apps.get(app) else {
            return Err((payload, Refusal::UnknownApp));
        };
        if self.closed {
            let app = app.clone();
            return Err((payload, Refusal::Stopping { app }));
        }
        if input_type != app.input_type {
            let app = app.clone();
            let got = input_type;
            return Err((payload, Refusal::InputType { app, got }));
        }
        let wanted = named(model.as_ref(), version);
        if let Some(wanted) = &wanted {
            let known = self.versions.get(wanted);
            if known.is_none_or(|version| version.input_type.is_none()) {
                return Err((payload, Refusal::UnknownVersion(wanted.clone())));
            }
        }
        let current = || self.current.get(model.as_ref()?);
        let model = wanted.as_ref().or_else(current);
        let found = model.and_then(|model| Some((model, self.versions.get_mut(model)?)));
        let found = found.filter(|(_, version)| !version.replicas.is_empty());
        let refusal = found.as_ref().and_then(|(model, version)| {
            let of_another_type = version.takes_other(input_type, &self.replicas);
            let takes_other = of_another_type.map(|takes| Refusal::ModelInputType {
                app: app.clone(),
                model: (*model).clone(),
                takes,
                got: input_type,
            });
            let overloaded = || {
                version
                    .is_full(size, &self.rules)
                    .then(|| Refusal::Overloaded {
                        app: app.clone(),
                        model: (*model).clone(),
                        queries: version.queue.waiting(),
                        bytes: version.bytes,
                    })
            };
            takes_other.or_else(overloaded)
        });
        if let Some(refusal) = refusal {
            return Err((payload, refusal));
        }
        let query = Query {
            payload: Some(payload),
            app: app.clone(),
            size,
            fingerprint,
            arrived: now,
            deadline: now.saturating_add(within.unwrap_or(app.objective)),
            sequence: self.next_sequence,
            suspect: false,
        };
        self.next_sequence += 1;
        let Some((_, version)) = found else {
            default(&mut self.actions, query, Reason::NoReplica);
            return Ok(None);
        };
        let key = QueryKey(self.queries.vacant_key());
        version.bytes += size;
        version.queue.push(query.place(key), fingerprint);
        self.queries.insert(query);
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
        self.queries.get(query.0)?.payload.as_ref()
    }

    /// Every query that somebody waits for, and what came with it.
    pub fn waiting(&self) -> impl Iterator<Item = (QueryKey, &P)> {
        let queries = self.queries.iter();
        queries.filter_map(|(key, query)| Some((QueryKey(key), query.payload.as_ref()?)))
    }
}

/// The version of a model that a query names, if it names one.
fn named(model: Option<&String>, version: Option<&str>) -> Option<ModelVersion> {
    Some(ModelVersion {
        name: model?.clone(),
        version: version?.to_owned(),
    })
}

fn default<P>(actions: &mut VecDeque<Action<P>>, query: Query<P>, reason: Reason) {
    actions.extend(query.finish().map(|query| Action::Default(query, reason)));
}
