//! Registration: a model server becomes a replica.

use model::DataType;
use scheduler::{ModelVersion, NewReplica, ReplicaKey, Scheduler, Timestamp};
use transport::Frame;
use wire::{
    MessageFrame as _,
    rpc::{FromFrontend, Metadata, NewContainer, Registered, Version},
};

use super::{
    ConnectedReplica, ContainerPeer, HEARTBEAT, Replicas, connection_check::ConnectionCheck,
};
use crate::{container_sockets::ContainerPort, declarations::Declared};

/// A registration that waits for its replica id.
#[derive(Debug)]
pub(crate) struct JoinRequest {
    pub(crate) port: ContainerPort,
    /// Routing identity, with the connection on which the registration came.
    pub(crate) identity: Frame,
    pub(crate) new: Box<NewContainer>,
}

impl ContainerPeer<'_> {
    /// Returns the protocol version of a model server that registers.
    fn version(&self, new: &NewContainer) -> Version {
        match self.port {
            ContainerPort::Rpc => new.rpc_version(),
            other => other.version(),
        }
    }
}

impl Replicas {
    /// Handles a registration. Returns the protocol version and the reply, or the reason of a
    /// refusal.
    pub(crate) fn register<P>(
        &mut self,
        scheduler: &mut Scheduler<P>,
        sender: ContainerPeer<'_>,
        new: NewContainer,
        now: Timestamp,
    ) -> (Version, Result<FromFrontend<'static, Frame>, String>) {
        let version = sender.version(&new);
        let reply = self.admit(scheduler, sender, new, now);
        (version, reply)
    }

    /// Adds a replica, or returns the reason of the refusal.
    fn admit<P>(
        &mut self,
        scheduler: &mut Scheduler<P>,
        sender: ContainerPeer<'_>,
        new: NewContainer,
        now: Timestamp,
    ) -> Result<FromFrontend<'static, Frame>, String> {
        let version = sender.version(&new);
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
        let key = scheduler.on_joined(NewReplica {
            model: model.clone(),
            input_type: new.input_type,
            batches_in_flight: in_flight.clamp(1, 64) as usize,
            max_batch: metadata.as_ref().and_then(|data| data.model.max_batch),
        });
        let next_id = self.next_id.entry(model.clone()).or_default();
        let replica_id = *next_id;
        *next_id += 1;
        tracing::info!("replica {replica_id} of {model} joined in {version}");
        self.keys[ContainerPort::of(version) as usize].insert(sender.identity.as_ref().into(), key);
        let connection = (version == Version::HighPerf).then(|| self.assign_connection(key));
        let replica = ConnectedReplica {
            identity: sender.identity.keep(),
            version,
            input_type: new.input_type,
            model,
            replica_id,
            connection,
            connection_check: ConnectionCheck::new(sender.identity),
            metadata,
            last_message: now,
            last_probe: now,
            batches_in_flight: 0,
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

    /// Stores the declarations of a model server, unless a replica of its model version has
    /// declared a shape before.
    ///
    /// # Errors
    /// If the model server declares another shape than that replica.
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
                    // Replicas of older protocol versions answer with text.
                    output_type: metadata.map_or(DataType::Strings, |data| data.model.output_type),
                },
            ),
        }
        Ok(())
    }

    /// Assigns a connection id to a high-performance replica.
    fn assign_connection(&mut self, key: ReplicaKey) -> u32 {
        let connection = self.next_connection;
        self.next_connection = connection.wrapping_add(1);
        self.connections.insert(connection, key);
        connection
    }

    /// Sets the id of the next replica of a model version.
    pub(crate) fn set_next_id(&mut self, model: ModelVersion, replica_id: u32) {
        self.next_id.insert(model, replica_id);
    }
}
