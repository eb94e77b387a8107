//! Model servers of every dialect: registration, heartbeats, and who is gone.
//!
//! How it is learnt that one is gone:
//!
//! - version 4: a probe every 100 ms finds no connection, or nothing is heard for 5 s;
//! - version 3 and 2017: a probe every 8 s finds no connection, or nothing is heard for 30 s and no batch is owed;
//! - high-performance: there are no heartbeats, so silence means nothing, and whatever is sent is a batch. It is learnt
//!   when the next batch finds no connection; the batch that it had at its end is given up as one that hangs.

mod admission;

use std::{collections::HashMap, time::Duration};

use model::DataType;
use scheduler::{Left, ModelVersion, ReplicaKey, Timestamp};
use transport::Frame;
use wire::{
    admin,
    rpc::{FromFrontend, Metadata, Version},
};

use crate::{
    container_sockets::{ContainerSockets, Port},
    declarations::Declarations,
};

pub(crate) use admission::Newcomer;

/// How often a version-4 model server must say that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How often to try whether a model server is still connected: sending is the only way to learn it.
const PROBE: Duration = Duration::from_millis(100);

/// The same for version 3 and 2017. Clipper's containers send a heartbeat after 5 s without a message: probing any sooner would keep
/// them from it, and they would seem dead.
const PROBE_V3: Duration = Duration::from_secs(8);

/// A model server that has said nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(5);

/// The same for version 3 and 2017, as long as in Clipper's frontend; but one that owes a batch is silent because it predicts.
const SILENCE_V3: Duration = Duration::from_secs(30);

/// A high-performance model server that hangs and has said nothing for so long is given up: it has no heartbeats, and nothing
/// more is sent to it that could fail.
const HUNG: Duration = Duration::from_secs(600);

/// A look that comes so late says that this process was stopped, not that its replicas were silent.
const LATE: Duration = Duration::from_secs(1);

/// A replica, and why it is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost {
    pub(crate) key: ReplicaKey,
    pub(crate) left: Left,
    pub(crate) why: &'static str,
}

impl Lost {
    pub(crate) fn died(key: ReplicaKey, why: &'static str) -> Lost {
        let left = Left::Died;
        Lost { key, left, why }
    }

    pub(crate) fn stopped(key: ReplicaKey, why: &'static str) -> Lost {
        let left = Left::Stopped;
        Lost { key, left, why }
    }
}

/// Who sends a message. A routing identity means something only at its own port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender<'a> {
    pub(crate) port: Port,
    pub(crate) identity: &'a Frame,
}

#[derive(Debug)]
pub(crate) struct Replicas {
    session: u64,
    replicas: HashMap<ReplicaKey, Replica>,
    /// By the routing identity, for each port.
    keys: [HashMap<Box<[u8]>, ReplicaKey>; Port::ALL.len()],
    /// By the connection, in the high-performance dialect.
    connections: HashMap<u32, ReplicaKey>,
    next_connection: u32,
    next_id: HashMap<ModelVersion, u32>,
    next_look: Timestamp,
    declarations: Declarations,
    out: Vec<Frame>,
}

#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) identity: Frame,
    pub(crate) version: Version,
    pub(crate) input_type: DataType,
    pub(crate) model: ModelVersion,
    pub(crate) replica_id: u32,
    /// Its responses name it; only in the high-performance dialect.
    connection: Option<u32>,
    metadata: Option<Metadata>,
    last_heard: Timestamp,
    last_probe: Timestamp,
    owes: usize,
    /// It has lost its batches; only the high-performance dialect asks.
    hung: bool,
    batches: u64,
    queries: u64,
}

impl Replica {
    /// The shape of one input; empty if it declares none.
    fn input_shape(&self) -> &[usize] {
        let metadata = self.metadata.as_ref();
        metadata.map_or(&[], |metadata| &metadata.model.input_shape)
    }
}

impl Replicas {
    /// Without a replica; what those that join declare is noted.
    pub(crate) fn new(session: u64, declarations: Declarations) -> Replicas {
        Replicas {
            session,
            replicas: HashMap::new(),
            keys: Default::default(),
            connections: HashMap::new(),
            next_connection: rand::random(),
            next_id: HashMap::new(),
            next_look: Timestamp::ZERO,
            declarations,
            out: Vec::new(),
        }
    }

    /// The replica that a batch is about to be sent to.
    pub(crate) fn owing(&mut self, key: ReplicaKey) -> Option<&Replica> {
        let replica = self.replicas.get_mut(&key)?;
        replica.owes += 1;
        Some(replica)
    }

    fn key(&self, sender: Sender<'_>) -> Option<ReplicaKey> {
        let keys = &self.keys[sender.port as usize];
        keys.get(sender.identity.as_ref()).copied()
    }

    /// Something came. Answers the version to read it by, and the replica if it has registered.
    pub(crate) fn heard(
        &mut self,
        sender: Sender<'_>,
        now: Timestamp,
    ) -> (Version, Option<ReplicaKey>) {
        let Some(key) = self.key(sender) else {
            return (sender.port.version(), None);
        };
        let replica = self.replicas.get_mut(&key);
        let replica = replica.expect("every identity has its replica");
        replica.last_heard = now;
        (replica.version, Some(key))
    }

    /// Something came from the high-performance replica with this connection.
    pub(crate) fn connected(&mut self, connection: u32, now: Timestamp) -> Option<ReplicaKey> {
        let key = *self.connections.get(&connection)?;
        let replica = self.replicas.get_mut(&key)?;
        replica.last_heard = now;
        replica.hung = false;
        Some(key)
    }

    /// Answers a heartbeat: lives, or asks an unknown model server to register.
    pub(crate) fn beat_back(
        &mut self,
        sockets: &mut ContainerSockets,
        sender: Sender<'_>,
        now: Timestamp,
    ) {
        let replica = self.key(sender);
        let replica = replica.and_then(|key| self.replicas.get_mut(&key));
        let (message, version) = match replica {
            Some(replica) => {
                replica.last_probe = now;
                (FromFrontend::KeepAlive, replica.version)
            }
            // Version 4 understands version 3's.
            None if sender.port == Port::Rpc => (FromFrontend::MetadataWanted, Version::V3),
            None => (FromFrontend::MetadataWanted, sender.port.version()),
        };
        self.say(sockets, sender.identity, version, &message);
    }

    /// Counts an answered batch; answers the replica.
    pub(crate) fn answered(&mut self, key: ReplicaKey, queries: usize) -> &Replica {
        let replica = self.replicas.get_mut(&key);
        let replica = replica.expect("who is heard has registered");
        replica.owes = replica.owes.saturating_sub(1);
        replica.batches += 1;
        replica.queries += queries as u64;
        replica
    }

    /// Probes and looks for silence, when it is time to. Lists who is gone.
    pub(crate) fn look_after(
        &mut self,
        sockets: &mut ContainerSockets,
        now: Timestamp,
    ) -> Vec<Lost> {
        let mut lost = Vec::new();
        if now < self.next_look {
            return lost;
        }
        let late = now.saturating_sub(self.next_look) > LATE;
        self.next_look = now + PROBE;
        for (key, replica) in &mut self.replicas {
            if late {
                replica.last_heard = now;
            }
            let (probe, silence) = match replica.version {
                Version::V4 => (PROBE, SILENCE),
                Version::HighPerf if replica.hung => (Duration::MAX, HUNG),
                Version::HighPerf => (Duration::MAX, Duration::MAX),
                Version::V3 | Version::V2017 if replica.owes > 0 => (PROBE_V3, Duration::MAX),
                Version::V3 | Version::V2017 => (PROBE_V3, SILENCE_V3),
            };
            if now.saturating_sub(replica.last_heard) > silence {
                lost.push(Lost::died(*key, "says nothing"));
            } else if now.saturating_sub(replica.last_probe) >= probe {
                replica.last_probe = now;
                self.out.push(replica.identity.clone());
                FromFrontend::KeepAlive.encode(replica.version, &mut self.out);
                if sockets.send(replica.version, &mut self.out).is_err() {
                    lost.push(Lost::died(*key, "is not connected any more"));
                }
            }
        }
        lost
    }

    /// When to look after the replicas again.
    pub(crate) fn next_look(&self) -> Option<Timestamp> {
        (!self.replicas.is_empty()).then_some(self.next_look)
    }

    /// Forgets a replica; answers its model and number.
    pub(crate) fn remove(&mut self, lost: &Lost) -> Option<(ModelVersion, u32)> {
        let replica = self.replicas.remove(&lost.key)?;
        let (id, model) = (replica.replica_id, &replica.model);
        tracing::warn!("replica {id} of {model} {}: gone", lost.why);
        let keys = &mut self.keys[Port::of(replica.version) as usize];
        keys.remove(replica.identity.as_ref());
        if let Some(connection) = replica.connection {
            self.connections.remove(&connection);
        }
        Some((replica.model, id))
    }

    /// A replica has lost its batches, because it is far behind its own pace.
    pub(crate) fn hung(&mut self, key: ReplicaKey) {
        if let Some(replica) = self.replicas.get_mut(&key) {
            replica.owes = 0;
            replica.hung = true;
            let (id, model) = (replica.replica_id, &replica.model);
            tracing::warn!("replica {id} of {model} hangs: it gets no work until it answers");
        }
    }

    /// Tells a replica that it is of no use here, and why.
    pub(crate) fn refuse(&mut self, sockets: &mut ContainerSockets, key: ReplicaKey, reason: &str) {
        if let Some(replica) = self.replicas.get(&key) {
            let (identity, version) = (replica.identity.clone(), replica.version);
            self.say(sockets, &identity, version, &FromFrontend::Refused(reason));
        }
    }

    /// Tells the model servers that the frontend stops, so that they look for the next one at once.
    pub(crate) fn say_goodbye(&mut self, sockets: &mut ContainerSockets) {
        for replica in self.replicas.values() {
            if replica.version == Version::V4 {
                self.out.push(replica.identity.clone());
                FromFrontend::Goodbye.encode(replica.version, &mut self.out);
                // Whoever is gone needs no goodbye.
                let _ = sockets.send(replica.version, &mut self.out);
            }
        }
    }

    pub(crate) fn list(&self) -> Vec<admin::Replica> {
        let mut list: Vec<_> = self
            .replicas
            .values()
            .map(|replica| admin::Replica {
                model_name: replica.model.name.clone(),
                model_version: replica.model.version.clone(),
                replica_id: replica.replica_id,
                input_type: replica.input_type,
                metadata: replica.metadata.clone(),
                batches: replica.batches,
                queries: replica.queries,
            })
            .collect();
        list.sort_by_key(|replica| replica.replica_id);
        list
    }

    /// Sends a message. If that fails, the model server is gone, which `look_after` finds out.
    pub(crate) fn say(
        &mut self,
        sockets: &mut ContainerSockets,
        identity: &Frame,
        version: Version,
        message: &FromFrontend<'_, Frame>,
    ) {
        self.out.push(identity.clone());
        message.encode(version, &mut self.out);
        // Clipper's dialects have fewer messages: then nothing stands behind the identity.
        if self.out.len() > 1 {
            let _ = sockets.send(version, &mut self.out);
        }
        self.out.clear();
    }
}
