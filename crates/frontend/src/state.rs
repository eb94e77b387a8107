//! The state: the registrations, in memory, in a file, or in a Redis that several frontends share.
//!
//! One thread owns the state, so that neither the engine nor HTTP ever waits for a disk or a
//! network. It writes a change first and then publishes the new catalog. Changes that another
//! frontend wrote to Redis are only published.

mod changes;
mod error;
mod file;
mod listings;
mod redis;
mod request;

use std::{
    mem,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
};

use scheduler::ModelVersion;
use tokio::sync::{oneshot, watch};
use wire::admin::{self, Change, ContainerInfo};

use crate::{
    catalog::{Catalog, CatalogChange, Registrations},
    command::Command,
    handle::EngineHandle,
    replicas::JoinRequest,
    settings::Settings,
    worker::WorkerThread,
};

pub use error::StateError;

use error::WriteError;
use file::StateFile;
use redis::{ContainerRow, RedisStore};
use request::{AdminResult, StateRequest};

/// The HTTP threads' handle of the state thread.
#[derive(Clone, Debug)]
pub(crate) struct StateHandle {
    requests: Sender<StateRequest>,
    catalog: watch::Receiver<Arc<Catalog>>,
}

impl StateHandle {
    /// Returns the newest catalog.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    /// Sends a request and waits for the reply. Returns `None` if the frontend is stopping.
    pub(crate) async fn request(&self, request: admin::AdminRequest) -> Option<AdminResult> {
        let (answer, answered) = oneshot::channel();
        // A send fails only when the state thread has ended, and then the reply fails too.
        let _ = self.requests.send(StateRequest::Admin(request, answer));
        answered.await.ok().flatten()
    }
}

/// The engine's handle of the state thread, which numbers replicas if frontends share the state.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaIds(Sender<StateRequest>);

impl ReplicaIds {
    /// Requests a number for a new replica. The reply is [`Command::Admit`].
    pub(crate) fn join(&self, newcomer: JoinRequest) {
        let _ = self.0.send(StateRequest::Join(newcomer));
    }

    /// Reports that a replica has left.
    pub(crate) fn left(&self, model: ModelVersion, replica_id: u32) {
        let _ = self.0.send(StateRequest::Left(model, replica_id));
    }
}

/// A state that has been read; its thread has not started yet.
#[derive(Debug)]
pub(crate) struct LoadedState {
    registrations: Registrations,
    store: Store,
    requests: Receiver<StateRequest>,
    sender: Sender<StateRequest>,
}

#[derive(Debug)]
enum Store {
    Memory,
    File(StateFile),
    Redis(Box<RedisStore>),
}

/// Reads the state from the store that the settings name. With Redis, waits until it answers.
///
/// # Errors
/// If the state file cannot be read.
pub(crate) fn open(settings: &Settings, rpc_port: u16) -> Result<LoadedState, StateError> {
    let (sender, requests) = mpsc::channel();
    let (store, registrations) = match (&settings.state, settings.redis.address()?) {
        (_, Some(address)) => {
            let (redis, registrations) = RedisStore::open(address, rpc_port, sender.clone())?;
            (Store::Redis(Box::new(redis)), registrations)
        }
        (Some(file), None) => {
            let (file, registrations) = StateFile::open(file)?;
            (Store::File(file), registrations)
        }
        (None, None) => (Store::Memory, Registrations::default()),
    };
    Ok(LoadedState {
        registrations,
        store,
        requests,
        sender,
    })
}

impl LoadedState {
    /// Returns the engine's handle if frontends share the state, and so the replica numbers.
    pub(crate) fn replica_ids(&self) -> Option<ReplicaIds> {
        let shared = matches!(self.store, Store::Redis(_));
        shared.then(|| ReplicaIds(self.sender.clone()))
    }

    /// Publishes the first catalog and starts the state thread.
    pub(crate) fn start(self, engine: EngineHandle) -> std::io::Result<StateThread> {
        let (publisher, catalog) = watch::channel(Arc::default());
        let mut keeper = StateKeeper {
            known: Arc::default(),
            replaced: Arc::default(),
            store: self.store,
            engine,
            publisher,
        };
        keeper.switch_to(self.registrations);
        let requests = self.requests;
        let stop = StopAfterRequests(self.sender);
        let run = move || keeper.run(&requests);
        Ok(StateThread {
            catalog,
            worker: WorkerThread::spawn("state", stop, run)?,
        })
    }
}

/// The running state thread. Dropping it ends the thread after the requests in its queue.
#[derive(Debug)]
pub(crate) struct StateThread {
    catalog: watch::Receiver<Arc<Catalog>>,
    worker: WorkerThread<StopAfterRequests>,
}

impl StateThread {
    pub(crate) fn handle(&self) -> StateHandle {
        StateHandle {
            requests: self.worker.stop_handle().0.clone(),
            catalog: self.catalog.clone(),
        }
    }
}

/// Sends [`StateRequest::Stop`] on drop. Other senders outlive it, so closing the queue would not
/// do.
#[derive(Debug)]
struct StopAfterRequests(Sender<StateRequest>);

impl Drop for StopAfterRequests {
    fn drop(&mut self) {
        // A send fails only when the thread has ended already.
        let _ = self.0.send(StateRequest::Stop);
    }
}

/// The data of the state thread.
#[derive(Debug)]
struct StateKeeper {
    known: Arc<Catalog>,
    /// The previous catalog, held until the next change so that this thread frees it, not the
    /// engine.
    replaced: Arc<Catalog>,
    store: Store,
    engine: EngineHandle,
    publisher: watch::Sender<Arc<Catalog>>,
}

impl StateKeeper {
    fn run(mut self, requests: &Receiver<StateRequest>) {
        while let Ok(request) = requests.recv() {
            match request {
                StateRequest::Admin(request, answer) => {
                    self.refresh();
                    // The requester may have disconnected; ignore send errors.
                    let _ = answer.send(self.answer(request));
                }
                StateRequest::Join(newcomer) => self.join(newcomer),
                StateRequest::Left(model, replica_id) => {
                    if let Store::Redis(redis) = &mut self.store {
                        redis.left(model, replica_id);
                    }
                }
                StateRequest::Refresh => self.refresh(),
                StateRequest::Stop => break,
            }
        }
        if let Store::Redis(redis) = &mut self.store {
            redis.remove_own_rows_on_stop();
        }
    }

    fn answer(&mut self, request: admin::AdminRequest) -> Option<AdminResult> {
        match request {
            admin::AdminRequest::Change(change) => Some(self.change(change)),
            admin::AdminRequest::Lookup(question) => {
                Some(self.known.registrations().lookup(&question))
            }
            admin::AdminRequest::Containers(question) => {
                let containers = self.containers()?;
                Some(Ok(listings::list_containers(&question, containers)))
            }
        }
    }

    /// Writes a change and then publishes it.
    fn change(&mut self, change: Change) -> AdminResult {
        let plan = self
            .known
            .registrations()
            .plan(change, self.store.place())?;
        if let Err(error) = self.store.write(&plan.changes) {
            tracing::error!("{}: {error}", plan.failed);
            return Err(plan.failed);
        }
        self.publish(self.known.after(&plan.changes), plan.changes);
        Ok(plan.done)
    }

    /// Publishes the changes that others wrote to Redis.
    fn refresh(&mut self) {
        if let Store::Redis(redis) = &mut self.store {
            // If Redis does not answer, `read` has logged it, and the known catalog stays in use.
            if let Ok(found) = redis.read(self.known.registrations()) {
                self.switch_to(found);
            }
        }
    }

    fn switch_to(&mut self, new: Registrations) {
        let known = self.known.registrations();
        if *known != new {
            let changes = known.difference(&new);
            self.publish(Catalog::new(new), changes);
        }
    }

    /// Publishes a new catalog and the changes since the previous one. The engine gets it first,
    /// before any query of a client that saw it.
    fn publish(&mut self, catalog: Catalog, changes: Vec<CatalogChange>) {
        let catalog = Arc::new(catalog);
        let known = catalog.clone();
        self.engine.send(Command::SetCatalog { catalog, changes });
        self.publisher.send_replace(known.clone());
        self.replaced = mem::replace(&mut self.known, known);
    }

    fn join(&mut self, newcomer: JoinRequest) {
        // After an outage of Redis, the rows of the present replicas are written before new numbers
        // are drawn.
        self.refresh();
        if let Store::Redis(redis) = &mut self.store {
            let replica_id = redis.join(&ContainerRow::new(
                newcomer.identity.as_ref(),
                &newcomer.new,
            ));
            self.engine.send(Command::Admit(newcomer, replica_id));
        }
    }

    /// Returns all known replicas, or `None` if the frontend is stopping.
    fn containers(&mut self) -> Option<Vec<ContainerInfo>> {
        if let Store::Redis(redis) = &mut self.store
            && let Ok(containers) = redis.containers()
        {
            return Some(containers);
        }
        let replicas = self.engine.request_blocking(Command::Replicas)?;
        let container = |replica: admin::ReplicaInfo| ContainerInfo {
            model_id: format!("{}:{}", replica.model_name, replica.model_version),
            model_name: replica.model_name,
            model_version: replica.model_version,
            model_replica_id: replica.replica_id,
            input_type: replica.input_type,
        };
        Some(replicas.into_iter().map(container).collect())
    }
}

impl Store {
    fn place(&self) -> changes::StoreKind {
        match self {
            Store::Memory | Store::File(_) => changes::StoreKind::File,
            Store::Redis(_) => changes::StoreKind::Redis,
        }
    }

    fn write(&mut self, changes: &[CatalogChange]) -> Result<(), WriteError> {
        match self {
            Store::Memory => Ok(()),
            Store::File(file) => Ok(file.write(changes)?),
            Store::Redis(redis) => Ok(redis.write(changes)?),
        }
    }
}
