//! What is registered, and where that is kept: in memory, in a file, or in a Redis that several frontends share.
//!
//! One thread owns it, so that neither the engine nor HTTP ever waits for a disk or a network. A change is written first and
//! then published; what another frontend writes to Redis takes the second step only.

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
use wire::admin::{self, Change, Container};

use crate::{
    catalog::{Catalog, Registrations, Write},
    command::Command,
    handle,
    replicas::Newcomer,
    settings::Settings,
    worker::Worker,
};

pub use error::StateError;

use error::WriteError;
use file::File;
use redis::{Joined, Redis};
use request::{Answer, Request};

/// The HTTP threads' end.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    requests: Sender<Request>,
    catalog: watch::Receiver<Arc<Catalog>>,
}

impl Handle {
    /// What is registered now.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    /// Asks, and waits for the answer; `None` if the frontend is stopping.
    pub(crate) async fn ask(&self, request: admin::Request) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        // Without its thread the process is about to end, and nothing comes.
        let _ = self.requests.send(Request::Admin(request, answer));
        answered.await.ok().flatten()
    }
}

/// The engine's end, where frontends share their state: who joins, and who left.
#[derive(Clone, Debug)]
pub(crate) struct ReplicaIds(Sender<Request>);

impl ReplicaIds {
    /// Asks for a replica's number, which comes as [`Command::Admit`].
    pub(crate) fn join(&self, newcomer: Newcomer) {
        let _ = self.0.send(Request::Join(newcomer));
    }

    pub(crate) fn left(&self, model: ModelVersion, replica_id: u32) {
        let _ = self.0.send(Request::Left(model, replica_id));
    }
}

/// A state that was read, and is not served yet.
#[derive(Debug)]
pub(crate) struct Opened {
    registrations: Registrations,
    store: Store,
    requests: Receiver<Request>,
    sender: Sender<Request>,
}

#[derive(Debug)]
enum Store {
    Memory,
    File(File),
    Redis(Box<Redis>),
}

/// Reads the state from where the settings say. With Redis, waits until it answers.
///
/// # Errors
/// If the state file cannot be read.
pub(crate) fn open(settings: &Settings, rpc_port: u16) -> Result<Opened, StateError> {
    let (sender, requests) = mpsc::channel();
    let (store, registrations) = match (&settings.state, settings.redis.address()?) {
        (_, Some(address)) => {
            let (redis, registrations) = Redis::open(address, rpc_port, sender.clone())?;
            (Store::Redis(Box::new(redis)), registrations)
        }
        (Some(file), None) => {
            let (file, registrations) = File::open(file)?;
            (Store::File(file), registrations)
        }
        (None, None) => (Store::Memory, Registrations::default()),
    };
    Ok(Opened {
        registrations,
        store,
        requests,
        sender,
    })
}

impl Opened {
    /// For the engine, if its replicas' numbers come from here.
    pub(crate) fn replica_ids(&self) -> Option<ReplicaIds> {
        let shared = matches!(self.store, Store::Redis(_));
        shared.then(|| ReplicaIds(self.sender.clone()))
    }

    /// Publishes what is registered, and serves the state from a thread of its own.
    pub(crate) fn start(self, engine: handle::Handle) -> std::io::Result<State> {
        let (publisher, catalog) = watch::channel(Arc::default());
        let mut keeper = Keeper {
            known: Arc::default(),
            replaced: Arc::default(),
            store: self.store,
            engine,
            publisher,
        };
        keeper.go_to(self.registrations);
        let requests = self.requests;
        let stop = StopAfterRequests(self.sender);
        let run = move || keeper.run(&requests);
        Ok(State {
            catalog,
            worker: Worker::spawn("state", stop, run)?,
        })
    }
}

/// The thread that owns the state. Dropping it ends the thread, after the requests that wait.
#[derive(Debug)]
pub(crate) struct State {
    catalog: watch::Receiver<Arc<Catalog>>,
    worker: Worker<StopAfterRequests>,
}

impl State {
    pub(crate) fn handle(&self) -> Handle {
        Handle {
            requests: self.worker.stop_handle().0.clone(),
            catalog: self.catalog.clone(),
        }
    }
}

/// Its drop is the last request. Other senders outlive it, so that the queue's end stops nothing.
#[derive(Debug)]
struct StopAfterRequests(Sender<Request>);

impl Drop for StopAfterRequests {
    fn drop(&mut self) {
        // Without its thread there is nothing to stop.
        let _ = self.0.send(Request::Stop);
    }
}

/// What the thread has.
#[derive(Debug)]
struct Keeper {
    known: Arc<Catalog>,
    /// The catalog before. It is held until the next change, so that this thread frees it, and not the engine.
    replaced: Arc<Catalog>,
    store: Store,
    engine: handle::Handle,
    publisher: watch::Sender<Arc<Catalog>>,
}

impl Keeper {
    fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(request) = requests.recv() {
            match request {
                Request::Admin(request, answer) => {
                    self.look();
                    // Whoever asked may be gone.
                    let _ = answer.send(self.answer(request));
                }
                Request::Join(newcomer) => self.join(newcomer),
                Request::Left(model, replica_id) => {
                    if let Store::Redis(redis) = &mut self.store {
                        redis.left(model, replica_id);
                    }
                }
                Request::Look => self.look(),
                Request::Stop => break,
            }
        }
        if let Store::Redis(redis) = &mut self.store {
            redis.leave();
        }
    }

    fn answer(&mut self, request: admin::Request) -> Option<Answer> {
        match request {
            admin::Request::Change(change) => Some(self.change(change)),
            admin::Request::Look(question) => Some(self.known.registrations().look(&question)),
            admin::Request::Containers(question) => {
                let containers = self.containers()?;
                Some(Ok(listings::look_at_containers(&question, containers)))
            }
        }
    }

    /// Writes a change, then carries it out.
    fn change(&mut self, change: Change) -> Answer {
        let plan = self
            .known
            .registrations()
            .plan(change, self.store.place())?;
        if let Err(error) = self.store.write(&plan.steps) {
            tracing::error!("{}: {error}", plan.failed);
            return Err(plan.failed);
        }
        self.publish(self.known.after(&plan.steps), plan.steps);
        Ok(plan.done)
    }

    /// Takes over what others wrote to Redis.
    fn look(&mut self) {
        if let Store::Redis(redis) = &mut self.store {
            // If it does not answer, that is in the log, and what is known is served.
            if let Ok(there) = redis.read(self.known.registrations()) {
                self.go_to(there);
            }
        }
    }

    fn go_to(&mut self, there: Registrations) {
        let here = self.known.registrations();
        if *here != there {
            let steps = here.difference(&there);
            self.publish(Catalog::new(there), steps);
        }
    }

    /// Publishes a new catalog, to which these steps led: first to the engine, so that it has the catalog before any
    /// query of a client that saw it.
    fn publish(&mut self, catalog: Catalog, steps: Vec<Write>) {
        let catalog = Arc::new(catalog);
        let known = catalog.clone();
        self.engine.send(Command::Exchange { catalog, steps });
        self.publisher.send_replace(known.clone());
        self.replaced = mem::replace(&mut self.known, known);
    }

    fn join(&mut self, newcomer: Newcomer) {
        // If Redis was away and is back, it learns of the replicas that there are before it numbers new ones.
        self.look();
        if let Store::Redis(redis) = &mut self.store {
            let replica_id = redis.join(&Joined::new(&newcomer.identity, &newcomer.new));
            self.engine.send(Command::Admit(newcomer, replica_id));
        }
    }

    /// Every replica that is known of; `None` if the frontend is stopping.
    fn containers(&mut self) -> Option<Vec<Container>> {
        if let Store::Redis(redis) = &mut self.store
            && let Ok(containers) = redis.containers()
        {
            return Some(containers);
        }
        let replicas = self.engine.ask_and_wait(Command::Replicas)?;
        let container = |replica: admin::Replica| Container {
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
    fn place(&self) -> changes::Place {
        match self {
            Store::Memory | Store::File(_) => changes::Place::File,
            Store::Redis(_) => changes::Place::Redis,
        }
    }

    fn write(&mut self, steps: &[Write]) -> Result<(), WriteError> {
        match self {
            Store::Memory => Ok(()),
            Store::File(file) => Ok(file.write(steps)?),
            Store::Redis(redis) => Ok(redis.write(steps)?),
        }
    }
}
