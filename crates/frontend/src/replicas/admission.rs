//! How a model server becomes a replica.

use model::DataType;
use scheduler::{Joining, ModelVersion, ReplicaKey, Scheduler, Timestamp};
use transport::Frame;
use wire::{
    Frame as _,
    rpc::{FromFrontend, Metadata, NewContainer, Registered, Version},
};

use super::{HEARTBEAT, Replica, Replicas, Sender};
use crate::{container_sockets::Port, declarations::Declared};

/// A model server that wants to be a replica.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) port: Port,
    pub(crate) identity: Vec<u8>,
    pub(crate) new: Box<NewContainer>,
}

impl Sender<'_> {
    /// The version that a model server speaks that registers like this.
    fn speaks(&self, new: &NewContainer) -> Version {
        match self.port {
            Port::Rpc => new.rpc_version(),
            other => other.version(),
        }
    }
}

impl Replicas {
    /// Takes a registration, and returns the version that is spoken and the reply to it.
    pub(crate) fn register<P>(
        &mut self,
        scheduler: &mut Scheduler<P>,
        sender: Sender<'_>,
        new: NewContainer,
        now: Timestamp,
    ) -> (Version, Result<FromFrontend<'static, Frame>, String>) {
        let version = sender.speaks(&new);
        let reply = self.admit(scheduler, sender, new, now);
        (version, reply)
    }

    /// Makes a model server a replica, or says why not.
    fn admit<P>(
        &mut self,
        scheduler: &mut Scheduler<P>,
        sender: Sender<'_>,
        new: NewContainer,
        now: Timestamp,
    ) -> Result<FromFrontend<'static, Frame>, String> {
        let version = sender.speaks(&new);
        let model = ModelVersion {
            name: new.name,
            version: new.version,
        };
        let expected = scheduler.input_type(&model);
        if let Some(expected) = expected.filter(|expected| *expected != new.input_type) {
            let reason = format!("{model} takes {expected}, not {}", new.input_type);
            tracing::error!("refused a model server: {reason}");
            return Err(reason);
        }
        if let Err(reason) = self.declare(&model, new.metadata.as_ref()) {
            tracing::error!("refused a model server: {reason}");
            return Err(reason);
        }
        let metadata = new.metadata;
        let in_flight = metadata.as_ref().map_or(1, |data| data.batches_in_flight);
        let key = scheduler.on_joined(Joining {
            model: model.clone(),
            input_type: new.input_type,
            batches_in_flight: in_flight.clamp(1, 64) as usize,
            max_batch: metadata.as_ref().and_then(|data| data.model.max_batch),
        });
        let next_id = self.next_id.entry(model.clone()).or_default();
        let replica_id = *next_id;
        *next_id += 1;
        tracing::info!("replica {replica_id} of {model} joined in {version}");
        self.keys[Port::of(version) as usize].insert(sender.identity.as_ref().into(), key);
        let connection = (version == Version::HighPerf).then(|| self.next_connection(key));
        let replica = Replica {
            identity: sender.identity.keep(),
            version,
            input_type: new.input_type,
            model,
            replica_id,
            connection,
            metadata,
            last_heard: now,
            last_probe: now,
            owes: 0,
            hung: false,
            batches: 0,
            queries: 0,
        };
        self.replicas.insert(key, replica);
        Ok(match connection {
            Some(connection) => FromFrontend::Connection(connection),
            None => FromFrontend::Registered(Registered {
                session: self.session,
                replica_id,
                heartbeat: HEARTBEAT,
            }),
        })
    }

    /// Notes what a newcomer declares, unless a replica of its model version has declared a shape already.
    ///
    /// # Errors
    /// If the newcomer declares another shape than that replica.
    fn declare(&self, model: &ModelVersion, metadata: Option<&Metadata>) -> Result<(), String> {
        let declared = metadata.map_or_else(Vec::new, |data| data.model.input_shape.clone());
        let others = self.replicas.values().filter(|other| other.model == *model);
        let mut shapes = others.map(|other| other.input_shape());
        match shapes.find(|shape| !shape.is_empty()) {
            Some(shape) if !declared.is_empty() && declared != shape => {
                return Err(format!(
                    "the replicas of {model} take inputs of the shape {shape:?}, not {declared:?}: register it as another \
                     version"
                ));
            }
            Some(_) => {}
            None => self.declarations.set(
                model,
                Declared {
                    input_shape: declared,
                    // A replica of an older version answers text.
                    output_type: metadata.map_or(DataType::Strings, |data| data.model.output_type),
                },
            ),
        }
        Ok(())
    }

    fn next_connection(&mut self, key: ReplicaKey) -> u32 {
        let connection = self.next_connection;
        self.next_connection = connection.wrapping_add(1);
        self.connections.insert(connection, key);
        connection
    }

    /// The next replica of this model version gets this number.
    pub(crate) fn number_next(&mut self, model: ModelVersion, replica_id: u32) {
        self.next_id.insert(model, replica_id);
    }
}
