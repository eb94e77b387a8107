//! Model servers: their registrations and answers, and batches to them.

use scheduler::{Fingerprint, ModelVersion, ReplicaKey, Timestamp};
use transport::Frame;
use wire::rpc::{
    FromContainer, FromFrontend, NewContainer, RequestHead, Response, Returned, Version,
};

use super::{Engine, TURN};
use crate::{
    container_sockets::Port,
    metrics::Batch,
    query_result::{QueryResult, QueryStatus},
    replicas::{Lost, Newcomer, Sender},
    timeline::{Served, Timeline},
};

impl Engine {
    pub(super) fn take_containers(&mut self) -> zmq::Result<()> {
        Port::ALL
            .into_iter()
            .try_for_each(|port| self.take_from(port))
    }

    fn take_from(&mut self, port: Port) -> zmq::Result<()> {
        for _ in 0..TURN {
            let sockets = &mut self.sockets.containers;
            if !sockets.recv(port, &mut self.message)? {
                break;
            }
            let message = std::mem::take(&mut self.message);
            if let Some((identity, frames)) = message.split_first() {
                match port {
                    Port::RpcRecv => self.on_returned(identity, frames),
                    _ => self.on_container(Sender { port, identity }, frames),
                }
            }
            self.message = message;
        }
        Ok(())
    }

    fn on_container(&mut self, sender: Sender<'_>, frames: &[Frame]) {
        let now = self.clock.elapsed();
        let (version, replica) = self.replicas.heard(sender, now);
        let sockets = &mut self.sockets.containers;
        match (FromContainer::decode(frames, version), replica) {
            (Ok(FromContainer::Heartbeat), _) => self.replicas.beat_back(sockets, sender, now),
            (Ok(FromContainer::NewContainer(new)), None) => self.register(sender, *new, now),
            // It asks for another connection, as Clipper gives it: what the old one had goes to others.
            (Ok(FromContainer::NewContainer(new)), Some(key)) if version == Version::HighPerf => {
                self.lose(Lost::stopped(key, "registers anew"));
                self.register(sender, *new, now);
            }
            // Registered already: asked for twice, because two heartbeats came before the first registration.
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
                    let reason = format!("model failed: {}", error.text);
                    self.on_failure(key, error.message_id, &reason, now);
                }
            }
            (Ok(FromContainer::Goodbye), Some(key)) => {
                self.lose(Lost::stopped(key, "said goodbye"));
            }
            (Err(error), None) => self.clients.complain(sender.identity, &error),
            // Of a replica that was given up, or from before a restart: it will be asked to register.
            (_, None) => {}
            (Err(error), Some(key)) => self.lose_because_of(sender.identity, key, &error),
        }
    }

    /// A response by the port that high-performance model servers have for them.
    fn on_returned(&mut self, sender: &Frame, frames: &[Frame]) {
        let now = self.clock.elapsed();
        let returned = match Returned::decode(frames) {
            Ok(returned) => returned,
            Err(error) => return self.clients.complain(sender, &error),
        };
        match (
            self.replicas.connected(returned.connection, now),
            returned.response,
        ) {
            (Some(key), Ok(response)) => self.on_response(sender, key, &response, now),
            (Some(key), Err(error)) => self.lose_because_of(sender, key, &error),
            // Of a replica that was given up, or from before a restart.
            (None, _) => {
                let what = "a response with a connection id that was not given out";
                self.clients.complain(sender, &what);
            }
        }
    }

    /// A replica's number comes from this engine, or from where frontends share their state; then it joins when it is there.
    fn register(&mut self, sender: Sender<'_>, new: NewContainer, now: Timestamp) {
        let Some(replica_ids) = &self.replica_ids else {
            self.admit(sender, new, now);
            return;
        };
        let identity = sender.identity.as_ref().to_vec();
        // Asked for twice, because two heartbeats came before the first registration.
        if self.joining.insert((sender.port, identity.clone())) {
            replica_ids.join(Newcomer {
                port: sender.port,
                identity,
                new: Box::new(new),
            });
        }
    }

    /// The number of a replica that waits to join is there.
    pub(super) fn on_admitted(&mut self, newcomer: Newcomer, replica_id: u32) {
        let Newcomer {
            port,
            identity,
            new,
        } = newcomer;
        let model = ModelVersion {
            name: new.name.clone(),
            version: new.version.clone(),
        };
        self.replicas.number_next(model.clone(), replica_id);
        let frame = Frame::from(&identity[..]);
        self.joining.remove(&(port, identity));
        let sender = Sender {
            port,
            identity: &frame,
        };
        let admitted = self.admit(sender, *new, self.clock.elapsed());
        if let (false, Some(replica_ids)) = (admitted, &self.replica_ids) {
            replica_ids.left(model, replica_id);
        }
    }

    /// Takes a registration, or tells the model server why not.
    fn admit(&mut self, sender: Sender<'_>, new: NewContainer, now: Timestamp) -> bool {
        let scheduler = &mut self.scheduler;
        let (version, outcome) = self.replicas.register(scheduler, sender, new, now);
        let reply = match &outcome {
            Ok(reply) => reply.clone(),
            Err(reason) => FromFrontend::Refused(reason),
        };
        let sockets = &mut self.sockets.containers;
        self.replicas.say(sockets, sender.identity, version, &reply);
        outcome.is_ok()
    }

    fn on_response(
        &mut self,
        sender: &Frame,
        key: ReplicaKey,
        response: &Response<'_>,
        now: Timestamp,
    ) {
        let Some(answered) = self.scheduler.on_answered(key, response.message_id, now) else {
            // It was late and another has it, or it never had one of this number.
            let what = "a response to a batch that it does not have";
            return self.clients.complain(sender, &what);
        };
        let size = answered.size;
        let replica = self.replicas.answered(key, size);
        let (version, input_type) = (replica.version, replica.input_type);
        let sent = answered.sent;
        let batch = Batch {
            size,
            away: now.saturating_sub(sent),
            times: response.times,
        };
        let queries = answered.queries.iter();
        let queued = queries.map(|(_, query)| sent.saturating_sub(query.arrived));
        self.metrics.batch(&replica.model, batch, queued, now);
        let served = Served {
            replica_id: replica.replica_id,
            dialect: version,
            batch_size: size,
            times: response.times,
        };
        let miscounted = (response.outputs.len() != size).then(|| {
            let outputs = response.outputs.len();
            format!("model failed: {outputs} outputs to {size} inputs")
        });
        if miscounted.is_none() {
            self.remember(&answered.fingerprints, response);
        }
        for (place, query) in answered.queries {
            let output = match (&miscounted, response.outputs.get(place)) {
                (None, Some(_)) if !version.carries(input_type, query.payload.input.as_ref()) => {
                    Err("model failed: it is of 2017, where a string cannot hold a NUL")
                }
                (None, Some(output)) => *output,
                (why, _) => Err(why.as_deref().unwrap_or_default()),
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
                    self.conclude(&query, &result);
                }
                Err(reason) => {
                    self.conclude_without(&query, QueryStatus::Failed(reason.to_owned()), timeline);
                }
            }
        }
    }

    /// Keeps what the model answered for the next time, though it may be too late for who asked.
    fn remember(&mut self, fingerprints: &[(usize, Fingerprint)], response: &Response<'_>) {
        let Some(cache) = &mut self.cache else { return };
        for (place, fingerprint) in fingerprints {
            if let Some(Ok(output)) = response.outputs.get(*place) {
                cache.insert(*fingerprint, response.output_type, output);
            }
        }
    }

    /// A batch failed as a whole: its queries get the default output, and the reason.
    fn on_failure(&mut self, key: ReplicaKey, batch: u32, reason: &str, now: Timestamp) {
        let Some(answered) = self.scheduler.on_answered(key, batch, now) else {
            return;
        };
        self.replicas.answered(key, answered.size);
        for (_, query) in answered.queries {
            let timeline = Timeline {
                batch_sent: Some(answered.sent),
                ..Timeline::unsent(query.arrived, now)
            };
            self.conclude_without(&query, QueryStatus::Failed(reason.to_owned()), timeline);
        }
    }

    pub(super) fn send_batch(&mut self, batch: &scheduler::Send, now: Timestamp) {
        let Some(replica) = self.replicas.owing(batch.replica) else {
            return;
        };
        let inputs: Vec<&Frame> = batch
            .queries
            .iter()
            .filter_map(|query| self.scheduler.payload(*query))
            .map(|pending| &pending.input)
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
            self.scheduler.on_unsent(batch.replica, batch.batch);
            self.lose(Lost::died(batch.replica, "does not take its batch"));
        }
    }

    pub(super) fn lose(&mut self, lost: Lost) {
        let left = self.replicas.remove(&lost);
        if let (Some((model, replica_id)), Some(replica_ids)) = (left, &self.replica_ids) {
            replica_ids.left(model, replica_id);
        }
        self.scheduler.on_left(lost.key, lost.left);
    }

    fn lose_because_of(&mut self, sender: &Frame, key: ReplicaKey, error: &wire::DecodeError) {
        self.clients.complain(sender, error);
        self.lose(Lost::died(key, "sends nonsense"));
    }
}
