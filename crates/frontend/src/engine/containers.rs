//! Receives messages of model servers, and sends batches to them.

use scheduler::{BatchFailure, Fingerprint, ModelVersion, OutgoingBatch, ReplicaKey, Timestamp};
use transport::Frame;
use wire::rpc::{
    BatchError, ConnectionResponse, FromContainer, FromFrontend, NewContainer, RequestHead,
    Response, Version,
};

use super::{Engine, MESSAGES_PER_TURN};
use crate::{
    container_sockets::ContainerPort,
    metrics::BatchRecord,
    query_result::{QueryResult, QueryStatus},
    replicas::{ContainerPeer, JoinRequest, LostReplica},
    timeline::{ReplicaResponse, Timeline},
};

/// A batch that a replica failed as a whole.
#[derive(Clone, Copy, Debug)]
struct FailedBatch<'a> {
    replica: ReplicaKey,
    batch: u32,
    failure: BatchFailure,
    /// Error text for the clients.
    reason: &'a str,
}

impl Engine {
    pub(super) fn receive_from_containers(&mut self) -> zmq::Result<()> {
        ContainerPort::ALL
            .into_iter()
            .try_for_each(|port| self.receive_from_port(port))
    }

    fn receive_from_port(&mut self, port: ContainerPort) -> zmq::Result<()> {
        for _ in 0..MESSAGES_PER_TURN {
            let sockets = &mut self.sockets.containers;
            if !sockets.recv(port, &mut self.message)? {
                break;
            }
            let message = std::mem::take(&mut self.message);
            if let Some((identity, frames)) = message.split_first() {
                match port {
                    ContainerPort::RpcRecv => self.on_connection_response(identity, frames),
                    _ => self.on_container(ContainerPeer { port, identity }, frames),
                }
            }
            self.message = message;
        }
        Ok(())
    }

    fn on_container(&mut self, sender: ContainerPeer<'_>, frames: &[Frame]) {
        let now = self.clock.elapsed();
        let (version, replica) = self.replicas.on_message(sender, now);
        let sockets = &mut self.sockets.containers;
        match (FromContainer::decode(frames, version), replica) {
            (Ok(FromContainer::Heartbeat), _) => {
                self.replicas.reply_to_heartbeat(sockets, sender, now);
            }
            (Ok(FromContainer::NewContainer(new)), None) => self.register(sender, *new, now),
            // A second registration requests another connection, as in Clipper. Batches of the old
            // one go to others.
            (Ok(FromContainer::NewContainer(new)), Some(key)) if version == Version::HighPerf => {
                self.remove_replica(LostReplica::stopped(key, "registered again"));
                self.register(sender, *new, now);
            }
            // A duplicate: two heartbeats before the first registration caused two requests to
            // register.
            (Ok(FromContainer::NewContainer(_)), Some(_)) => {}
            (Ok(FromContainer::Response(response)), Some(key)) => {
                if response
                    .session
                    .is_none_or(|session| session == self.session)
                {
                    self.on_response(sender.identity, key, &response, now);
                }
            }
            (Ok(FromContainer::Error(error)), Some(key)) => {
                if error.session == self.session {
                    self.on_error(key, &error, now);
                }
            }
            (Ok(FromContainer::Goodbye), Some(key)) => {
                self.remove_replica(LostReplica::stopped(key, "sent goodbye"));
            }
            (Err(error), None) => self.clients.log_drop(sender.identity, &error),
            // From a replica that was removed, or from before a restart: a heartbeat will make it
            // register.
            (_, None) => {}
            (Err(error), Some(key)) => {
                self.remove_after_invalid_message(sender.identity, key, &error);
            }
        }
    }

    /// Handles a response on the port for responses of high-performance model servers.
    fn on_connection_response(&mut self, sender: &Frame, frames: &[Frame]) {
        let now = self.clock.elapsed();
        let message = match ConnectionResponse::decode(frames) {
            Ok(message) => message,
            Err(error) => return self.clients.log_drop(sender, &error),
        };
        match (
            self.replicas.on_connection_message(message.connection, now),
            message.response,
        ) {
            (Some(key), Ok(response)) => self.on_response(sender, key, &response, now),
            (Some(key), Err(error)) => self.remove_after_invalid_message(sender, key, &error),
            // From a replica that was removed, or from before a restart.
            (None, _) => {
                let what = "a response with an unknown connection id";
                self.clients.log_drop(sender, &what);
            }
        }
    }

    /// Adds a replica. If frontends share their state, it first requests a replica id there, and
    /// the replica joins when the id arrives.
    fn register(&mut self, sender: ContainerPeer<'_>, new: NewContainer, now: Timestamp) {
        let Some(replica_ids) = &self.replica_ids else {
            self.admit(sender, new, now);
            return;
        };
        let identity = sender.identity.as_ref().to_vec();
        // A second registration while the first one waits for its id is a duplicate.
        if self.joining.insert((sender.port, identity)) {
            replica_ids.join(JoinRequest {
                port: sender.port,
                identity: sender.identity.clone(),
                new: Box::new(new),
            });
        }
    }

    /// Adds a replica whose id has arrived.
    pub(super) fn on_replica_id(&mut self, request: JoinRequest, replica_id: u32) {
        let JoinRequest {
            port,
            identity,
            new,
        } = request;
        let model = ModelVersion {
            name: new.name.clone(),
            version: new.version.clone(),
        };
        self.replicas.set_next_id(model.clone(), replica_id);
        self.joining.remove(&(port, identity.as_ref().to_vec()));
        let sender = ContainerPeer {
            port,
            identity: &identity,
        };
        let admitted = self.admit(sender, *new, self.clock.elapsed());
        if let (false, Some(replica_ids)) = (admitted, &self.replica_ids) {
            replica_ids.left(model, replica_id);
        }
    }

    /// Adds a replica and confirms it, or sends the reason of the refusal. Returns true if the
    /// replica joined.
    fn admit(&mut self, sender: ContainerPeer<'_>, new: NewContainer, now: Timestamp) -> bool {
        let scheduler = &mut self.scheduler;
        let (version, registered) = self.replicas.register(scheduler, sender, new, now);
        let reply = match &registered {
            Ok(reply) => reply.clone(),
            Err(reason) => FromFrontend::Refused(reason),
        };
        let sockets = &mut self.sockets.containers;
        self.replicas
            .send(sockets, sender.identity, version, &reply);
        registered.is_ok()
    }

    /// Answers the queries of a batch with the outputs of the model.
    fn on_response(
        &mut self,
        sender: &Frame,
        key: ReplicaKey,
        response: &Response<'_>,
        now: Timestamp,
    ) {
        let (batch, outputs) = (response.message_id, response.outputs.len());
        let expected = self.scheduler.batch_size(key, batch);
        if let Some(inputs) = expected.filter(|inputs| *inputs != outputs) {
            let failed = FailedBatch {
                replica: key,
                batch,
                failure: BatchFailure::Other,
                reason: &format!("model failed: {outputs} outputs to {inputs} inputs"),
            };
            return self.on_failure(failed, now);
        }
        let Some(answered) = self.scheduler.on_answered(key, batch, now) else {
            // The replica lost this batch when it hung, or never had one with this id.
            let what = "a response to a batch that the replica does not have";
            return self.clients.log_drop(sender, &what);
        };
        let size = answered.size;
        let replica = self.replicas.on_batch_answered(key, size);
        let (version, input_type) = (replica.version, replica.input_type);
        let sent = answered.sent;
        let batch = BatchRecord {
            size,
            at_replica: now.saturating_sub(sent),
            times: response.times,
        };
        let queries = answered.queries.iter();
        let queued = queries.map(|(_, query)| sent.saturating_sub(query.arrived));
        self.metrics.batch(&replica.model, batch, queued, now);
        let served = ReplicaResponse {
            replica_id: replica.replica_id,
            dialect: version,
            batch_size: size,
            times: response.times,
        };
        self.cache_outputs(&answered.fingerprints, response);
        for (index, query) in answered.queries {
            let output = match version.carries(input_type, query.payload.input.as_ref()) {
                true => response.outputs[index],
                false => {
                    Err("model failed: its RPC version of 2017 cannot carry a string with a NUL")
                }
            };
            let timeline = Timeline {
                batch_sent: Some(sent),
                served: Some(served),
                ..Timeline::unsent(query.arrived, now)
            };
            match output {
                Ok(output) => {
                    let result = QueryResult {
                        status: QueryStatus::Ok,
                        output_type: response.output_type,
                        output: output.into(),
                        timeline,
                    };
                    self.finish(&query, &result);
                }
                Err(reason) => {
                    self.finish_with_default(
                        &query,
                        QueryStatus::Failed(reason.to_owned()),
                        timeline,
                    );
                }
            }
        }
    }

    /// Stores the outputs in the cache, also those that came too late for their queries.
    fn cache_outputs(&mut self, fingerprints: &[(usize, Fingerprint)], response: &Response<'_>) {
        let Some(cache) = &mut self.cache else { return };
        for (index, fingerprint) in fingerprints {
            if let Some(Ok(output)) = response.outputs.get(*index) {
                cache.insert(*fingerprint, response.output_type, output);
            }
        }
    }

    /// Handles a model server's message that a batch failed as a whole.
    fn on_error(&mut self, key: ReplicaKey, error: &BatchError<'_>, now: Timestamp) {
        let failed = FailedBatch {
            replica: key,
            batch: error.message_id,
            failure: match error.is_out_of_memory() {
                true => BatchFailure::OutOfMemory,
                false => BatchFailure::Other,
            },
            reason: &format!("model failed: {}", error.text),
        };
        self.on_failure(failed, now);
    }

    /// Handles a batch that failed as a whole. The scheduler requeues the queries that are tried
    /// again; the others get the default output and the reason.
    fn on_failure(&mut self, failed: FailedBatch<'_>, now: Timestamp) {
        let FailedBatch {
            replica,
            batch,
            failure,
            reason,
        } = failed;
        let Some(ended) = self.scheduler.on_failed(replica, batch, failure, now) else {
            return;
        };
        let queries = ended.queries.len();
        let connected = self.replicas.on_batch_answered(replica, queries);
        self.metrics.batch_failed(&connected.model, now);
        for (_, query) in ended.queries {
            let timeline = Timeline {
                batch_sent: Some(ended.sent),
                ..Timeline::unsent(query.arrived, now)
            };
            self.finish_with_default(&query, QueryStatus::Failed(reason.to_owned()), timeline);
        }
    }

    /// Sends a batch. If that fails, the replica is removed and the scheduler requeues the queries.
    pub(super) fn send_batch(&mut self, batch: &OutgoingBatch, now: Timestamp) {
        let Some(replica) = self.replicas.on_batch_sent(batch.replica) else {
            return;
        };
        let inputs: Vec<&Frame> = batch
            .queries
            .iter()
            .filter_map(|query| self.scheduler.payload(*query))
            .map(|payload| &payload.input)
            .collect();
        let head = RequestHead {
            session: Some(self.session),
            message_id: batch.batch,
            time_left: Some(batch.deadline.saturating_sub(now)),
            input_type: replica.input_type,
        };
        self.message.clear();
        self.message.push(replica.identity.clone());
        head.encode(replica.version, inputs.into_iter(), &mut self.message);
        let sockets = &mut self.sockets.containers;
        if sockets.send(replica.version, &mut self.message).is_err() {
            self.scheduler.on_send_failed(batch.replica, batch.batch);
            self.remove_replica(LostReplica::died(batch.replica, "did not accept a batch"));
        }
    }

    /// Removes a replica; the scheduler requeues its queries.
    pub(super) fn remove_replica(&mut self, lost: LostReplica) {
        let removed = self.replicas.remove(&lost);
        if let (Some((model, replica_id)), Some(replica_ids)) = (removed, &self.replica_ids) {
            replica_ids.left(model, replica_id);
        }
        self.scheduler.on_left(lost.key, lost.departure);
    }

    /// Logs an invalid message, and removes the replica that sent it.
    fn remove_after_invalid_message(
        &mut self,
        sender: &Frame,
        key: ReplicaKey,
        error: &wire::DecodeError,
    ) {
        self.clients.log_drop(sender, error);
        self.remove_replica(LostReplica::died(key, "sent an invalid message"));
    }
}
