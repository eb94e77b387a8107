//! The replicas of every dialect: registration, heartbeats and the detection of dead replicas.

mod admission;
mod connection_check;
mod probing;

use std::{collections::HashMap, time::Duration};

use model::DataType;
use scheduler::{Departure, ModelVersion, ReplicaKey, ReplicaStatus, Scheduler, Timestamp};
use transport::Frame;
use wire::{
    admin::{self, ReplicaHealth},
    rpc::{FromFrontend, Metadata, Version},
};

use crate::{
    container_sockets::{ContainerPort, ContainerSockets},
    declarations::Declarations,
};

pub(crate) use admission::JoinRequest;
use connection_check::ConnectionCheck;

/// Period of the heartbeats of version-4 model servers.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// A replica that is to be removed, and the reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LostReplica {
    pub(crate) key: ReplicaKey,
    pub(crate) departure: Departure,
    /// Completes the sentence "the replica ..." in the log.
    pub(crate) why: &'static str,
}

impl LostReplica {
    pub(crate) fn died(key: ReplicaKey, why: &'static str) -> LostReplica {
        let departure = Departure::Died;
        LostReplica {
            key,
            departure,
            why,
        }
    }

    pub(crate) fn stopped(key: ReplicaKey, why: &'static str) -> LostReplica {
        let departure = Departure::Stopped;
        LostReplica {
            key,
            departure,
            why,
        }
    }
}

/// The sender of a message. A routing identity is valid at its own port only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContainerPeer<'a> {
    pub(crate) port: ContainerPort,
    pub(crate) identity: &'a Frame,
}

#[derive(Debug)]
pub(crate) struct Replicas {
    session: u64,
    replicas: HashMap<ReplicaKey, ConnectedReplica>,
    /// Keys of the replicas by routing identity, for each port.
    keys: [HashMap<Box<[u8]>, ReplicaKey>; ContainerPort::ALL.len()],
    /// Keys of the replicas by connection id, in the high-performance dialect.
    connections: HashMap<u32, ReplicaKey>,
    next_connection: u32,
    /// Id of the next replica of each model version.
    next_id: HashMap<ModelVersion, u32>,
    next_probe: Timestamp,
    declarations: Declarations,
    /// Buffer for the message that is sent.
    out: Vec<Frame>,
}

#[derive(Debug)]
pub(crate) struct ConnectedReplica {
    pub(crate) identity: Frame,
    pub(crate) version: Version,
    pub(crate) input_type: DataType,
    pub(crate) model: ModelVersion,
    pub(crate) replica_id: u32,
    /// Connection id in its responses; only in the high-performance dialect.
    connection: Option<u32>,
    connection_check: ConnectionCheck,
    metadata: Option<Metadata>,
    /// Time of the last message from the replica.
    last_message: Timestamp,
    /// Time of the last probe or reply to a heartbeat.
    last_probe: Timestamp,
    batches_in_flight: usize,
    /// True while the replica hangs; used in the high-performance dialect only.
    hung: bool,
    /// Number of answered batches, failed ones included.
    batches: u64,
    /// Number of queries that ended with them.
    queries: u64,
}

impl ConnectedReplica {
    /// Returns the shape of one input; empty if the replica declares none.
    fn input_shape(&self) -> &[usize] {
        let metadata = self.metadata.as_ref();
        metadata.map_or(&[], |metadata| &metadata.model.input_shape)
    }
}

impl Replicas {
    /// Creates an empty table. Replicas that join store their declarations in `declarations`.
    pub(crate) fn new(session: u64, declarations: Declarations) -> Replicas {
        Replicas {
            session,
            replicas: HashMap::new(),
            keys: Default::default(),
            connections: HashMap::new(),
            next_connection: rand::random(),
            next_id: HashMap::new(),
            next_probe: Timestamp::ZERO,
            declarations,
            out: Vec::new(),
        }
    }

    /// Counts a batch that is about to be sent; returns its replica.
    pub(crate) fn on_batch_sent(&mut self, key: ReplicaKey) -> Option<&ConnectedReplica> {
        let replica = self.replicas.get_mut(&key)?;
        replica.batches_in_flight += 1;
        Some(replica)
    }

    fn key(&self, sender: ContainerPeer<'_>) -> Option<ReplicaKey> {
        let keys = &self.keys[sender.port as usize];
        keys.get(sender.identity.as_ref()).copied()
    }

    /// Notes the time of a message. Returns the version by which it is decoded, and the replica if
    /// its sender has registered.
    pub(crate) fn on_message(
        &mut self,
        sender: ContainerPeer<'_>,
        now: Timestamp,
    ) -> (Version, Option<ReplicaKey>) {
        let Some(key) = self.key(sender) else {
            return (sender.port.version(), None);
        };
        let replica = self.replicas.get_mut(&key);
        let replica = replica.expect("every identity belongs to a replica");
        replica.last_message = now;
        replica.connection_check.on_message(sender.identity);
        (replica.version, Some(key))
    }

    /// Notes the time of a message from the high-performance replica with this connection id;
    /// returns the replica.
    pub(crate) fn on_connection_message(
        &mut self,
        connection: u32,
        now: Timestamp,
    ) -> Option<ReplicaKey> {
        let key = *self.connections.get(&connection)?;
        let replica = self.replicas.get_mut(&key)?;
        replica.last_message = now;
        replica.hung = false;
        Some(key)
    }

    /// Replies to a heartbeat: confirms that the frontend is alive, or requests an unknown model
    /// server to register.
    pub(crate) fn reply_to_heartbeat(
        &mut self,
        sockets: &mut ContainerSockets,
        sender: ContainerPeer<'_>,
        now: Timestamp,
    ) {
        let replica = self.key(sender);
        let replica = replica.and_then(|key| self.replicas.get_mut(&key));
        let (message, version) = match replica {
            Some(replica) => {
                replica.last_probe = now;
                (FromFrontend::KeepAlive, replica.version)
            }
            // Version-4 model servers understand the message of version 3.
            None if sender.port == ContainerPort::Rpc => {
                (FromFrontend::MetadataWanted, Version::V3)
            }
            None => (FromFrontend::MetadataWanted, sender.port.version()),
        };
        self.send(sockets, sender.identity, version, &message);
    }

    /// Counts a batch that a replica answered or failed, and the queries that ended with it; returns
    /// the replica.
    pub(crate) fn on_batch_answered(
        &mut self,
        key: ReplicaKey,
        queries: usize,
    ) -> &ConnectedReplica {
        let replica = self.replicas.get_mut(&key);
        let replica = replica.expect("every replica of the scheduler is registered");
        replica.batches_in_flight = replica.batches_in_flight.saturating_sub(1);
        replica.batches += 1;
        replica.queries += queries as u64;
        replica
    }

    /// Removes a replica; returns its model version and id.
    pub(crate) fn remove(&mut self, lost: &LostReplica) -> Option<(ModelVersion, u32)> {
        let replica = self.replicas.remove(&lost.key)?;
        let (id, model) = (replica.replica_id, &replica.model);
        tracing::warn!("removed replica {id} of {model}: it {}", lost.why);
        let keys = &mut self.keys[ContainerPort::of(replica.version) as usize];
        keys.remove(replica.identity.as_ref());
        if let Some(connection) = replica.connection {
            self.connections.remove(&connection);
        }
        Some((replica.model, id))
    }

    /// Marks a replica as hung; the scheduler has taken its batches.
    pub(crate) fn on_hung(&mut self, key: ReplicaKey) {
        if let Some(replica) = self.replicas.get_mut(&key) {
            replica.batches_in_flight = 0;
            replica.hung = true;
            let (id, model) = (replica.replica_id, &replica.model);
            tracing::warn!("replica {id} of {model} hangs: it gets no batches until it answers");
        }
    }

    /// Logs that a replica was ejected.
    pub(crate) fn log_ejected(&self, key: ReplicaKey) {
        if let Some(ConnectedReplica {
            replica_id, model, ..
        }) = self.replicas.get(&key)
        {
            tracing::warn!(
                "ejected replica {replica_id} of {model}: it failed several batches in a row; it gets single queries as \
                 probes until one succeeds"
            );
        }
    }

    /// Logs that a replica was readmitted.
    pub(crate) fn log_readmitted(&self, key: ReplicaKey) {
        if let Some(ConnectedReplica {
            replica_id, model, ..
        }) = self.replicas.get(&key)
        {
            tracing::info!("readmitted replica {replica_id} of {model}: it answered a probe");
        }
    }

    /// Sends a replica the reason for which it is refused.
    pub(crate) fn refuse(&mut self, sockets: &mut ContainerSockets, key: ReplicaKey, reason: &str) {
        if let Some(replica) = self.replicas.get(&key) {
            let (identity, version) = (replica.identity.clone(), replica.version);
            self.send(sockets, &identity, version, &FromFrontend::Refused(reason));
        }
    }

    /// Announces to the model servers that the frontend stops, so that they connect to the next one
    /// at once.
    pub(crate) fn send_goodbyes(&mut self, sockets: &mut ContainerSockets) {
        for replica in self.replicas.values() {
            if replica.version == Version::V4 {
                self.out.push(replica.identity.clone());
                FromFrontend::Goodbye.encode(replica.version, &mut self.out);
                // A disconnected model server needs no goodbye.
                let _ = sockets.send(replica.version, &mut self.out);
            }
        }
    }

    /// Returns the replicas for the admin API, ordered by id.
    pub(crate) fn list<P>(&self, scheduler: &Scheduler<P>) -> Vec<admin::ReplicaInfo> {
        let mut list: Vec<_> = self
            .replicas
            .iter()
            .map(|(key, replica)| admin::ReplicaInfo {
                model_name: replica.model.name.clone(),
                model_version: replica.model.version.clone(),
                replica_id: replica.replica_id,
                input_type: replica.input_type,
                state: match scheduler.replica_state(*key).unwrap_or_default() {
                    ReplicaStatus::Serving => ReplicaHealth::Serving,
                    ReplicaStatus::Hung => ReplicaHealth::Hung,
                    ReplicaStatus::Ejected => ReplicaHealth::Ejected,
                },
                metadata: replica.metadata.clone(),
                batches: replica.batches,
                queries: replica.queries,
            })
            .collect();
        list.sort_by_key(|replica| replica.replica_id);
        list
    }

    /// Sends a message to a model server. If the model server is disconnected, the next probe
    /// detects that.
    pub(crate) fn send(
        &mut self,
        sockets: &mut ContainerSockets,
        identity: &Frame,
        version: Version,
        message: &FromFrontend<'_, Frame>,
    ) {
        self.out.push(identity.clone());
        message.encode(version, &mut self.out);
        // A message that the dialect does not have is encoded to no frames behind the identity.
        if self.out.len() > 1 {
            let _ = sockets.send(version, &mut self.out);
        }
        self.out.clear();
    }
}
