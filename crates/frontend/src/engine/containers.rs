//! Model servers: their registrations and answers, and batches to them.

use std::time::Duration;

use scheduler::{Left, ModelVersion, Now, ReplicaKey};
use transport::{Frame, recv, send};
use wire::{
    query::Timing,
    rpc::{FromContainer, FromFrontend, NewContainer, RequestHead, Response},
};

use super::{Engine, TURN};
use crate::{
    clients::{Ended, Outcome},
    replicas::Lost,
};

impl Engine {
    pub(super) fn take_containers(&mut self) -> anyhow::Result<usize> {
        for taken in 0..TURN {
            if !recv(&mut self.sockets.containers, &mut self.message)? {
                return Ok(taken);
            }
            let message = std::mem::take(&mut self.message);
            self.on_container(&message);
            self.message = message;
        }
        Ok(TURN)
    }

    fn on_container(&mut self, message: &[Frame]) {
        let Some((identity, frames)) = message.split_first() else {
            return;
        };
        let now = self.clock.elapsed();
        let (version, replica) = self.replicas.heard(identity, now);
        let socket = &mut self.sockets.containers;
        match (FromContainer::decode(frames, version), replica) {
            (Ok(FromContainer::Heartbeat), _) => self.replicas.beat_back(socket, identity, now),
            (Ok(FromContainer::NewContainer(new)), None) => self.register(identity, *new, now),
            // Registered already: asked for twice, because two heartbeats came before the first registration.
            (Ok(FromContainer::NewContainer(_)), Some(_)) => {}
            (Ok(FromContainer::Response(response)), Some(key)) => {
                if response
                    .session
                    .is_none_or(|session| session == self.session)
                {
                    self.on_response(key, &response, now);
                }
            }
            (Ok(FromContainer::Error(error)), Some(key)) => {
                if error.session == self.session {
                    let reason = format!("model failed: {}", error.text);
                    self.on_failure(key, error.message_id, &reason, now);
                }
            }
            (Ok(FromContainer::Goodbye), Some(key)) => self.lose(Lost {
                key,
                left: Left::Stopped,
                why: "said goodbye",
            }),
            (Err(error), None) => self.clients.complain(&error),
            // Of a replica that was given up, or from before a restart: it will be asked to register.
            (_, None) => {}
            (Err(error), Some(key)) => self.lose_because_of(key, &error),
        }
    }

    /// A replica's number comes from this engine, or from where frontends share their state; then it joins when it is there.
    fn register(&mut self, identity: &Frame, new: NewContainer, now: Now) {
        let Some(roster) = &self.roster else {
            self.admit(identity, new, now);
            return;
        };
        let identity = identity.as_ref().to_vec();
        // Asked for twice, because two heartbeats came before the first registration.
        if self.joining.insert(identity.clone()) {
            roster.join(identity, new);
        }
    }

    /// The number of a replica that waits to join is there.
    pub(super) fn on_admitted(&mut self, identity: Vec<u8>, new: NewContainer, replica_id: u32) {
        self.joining.remove(&identity);
        let model = ModelVersion {
            name: new.name.clone(),
            version: new.version.clone(),
        };
        self.replicas.number_next(model.clone(), replica_id);
        let now = self.clock.elapsed();
        let admitted = self.admit(&Frame::from(&identity[..]), new, now);
        if let (false, Some(roster)) = (admitted, &self.roster) {
            roster.left(model, replica_id);
        }
    }

    /// Takes a registration, or tells the model server why not.
    fn admit(&mut self, identity: &Frame, new: NewContainer, now: Now) -> bool {
        let version = new.rpc_version();
        let outcome = self
            .replicas
            .register(&mut self.scheduler, identity, new, now);
        let reply = match &outcome {
            Ok(registered) => FromFrontend::Registered(*registered),
            Err(reason) => FromFrontend::Refused(reason),
        };
        let socket = &mut self.sockets.containers;
        self.replicas.say(socket, identity, version, &reply);
        outcome.is_ok()
    }

    fn on_response(&mut self, key: ReplicaKey, response: &Response<'_>, now: Now) {
        let Some(answered) = self.scheduler.on_answered(key, response.message_id, now) else {
            return;
        };
        let size = answered.queries.len();
        let (replica_id, model) = self.replicas.answered(key, size);
        let away = now.saturating_sub(answered.sent);
        let times = response.times.unwrap_or_default();
        let waited = times.begun.saturating_sub(times.received);
        let latency = away.saturating_sub(Duration::from_micros(waited));
        self.metrics.batch(model, size, latency, now);
        let timing = Timing {
            batch_size: u32::try_from(size).unwrap_or(u32::MAX),
            replica_id,
            queued: 0,
            away: micros(away),
            waited,
            predicting: times.ended.saturating_sub(times.begun),
            replying: times.sent.saturating_sub(times.ended),
        };
        let miscounted = (response.outputs.len() != size).then(|| {
            let outputs = response.outputs.len();
            format!("model failed: {outputs} outputs to {size} inputs")
        });
        for (index, query) in answered.queries.into_iter().enumerate() {
            let Some(query) = query else { continue };
            let output = match (&miscounted, response.outputs.get(index)) {
                (None, Some(output)) => *output,
                (why, _) => Err(why.as_deref().unwrap_or_default()),
            };
            let timing = Timing {
                queued: micros(answered.sent.saturating_sub(query.arrived)),
                ..timing
            };
            let latency = now.saturating_sub(query.arrived);
            self.metrics
                .query(&query.app.name, latency, output.is_err(), now);
            let outcome = match output {
                Ok(output) => Outcome {
                    ended: Ended::Ok,
                    output_type: response.output_type,
                    output,
                    timing,
                },
                Err(reason) => Outcome {
                    timing,
                    ..Outcome::without_output(
                        Ended::Failed(reason.to_owned()),
                        query.app.default_output.as_bytes(),
                    )
                },
            };
            self.clients
                .answer(&mut self.sockets.answers, &query.payload, &outcome);
        }
    }

    /// A batch failed as a whole: its queries get the default output, and the reason.
    fn on_failure(&mut self, key: ReplicaKey, batch: u32, reason: &str, now: Now) {
        let Some(answered) = self.scheduler.on_answered(key, batch, now) else {
            return;
        };
        self.replicas.answered(key, answered.queries.len());
        for query in answered.queries.into_iter().flatten() {
            let latency = now.saturating_sub(query.arrived);
            self.metrics.query(&query.app.name, latency, true, now);
            let default = query.app.default_output.as_bytes();
            let outcome = Outcome::without_output(Ended::Failed(reason.to_owned()), default);
            self.clients
                .answer(&mut self.sockets.answers, &query.payload, &outcome);
        }
    }

    pub(super) fn send_batch(&mut self, batch: &scheduler::Send, now: Now) {
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
        let sent = send(&mut self.sockets.containers, &mut self.message);
        if sent.is_err() {
            self.scheduler.on_unsent(batch.replica, batch.batch);
            self.lose(Lost::died(batch.replica, "does not take its batch"));
        }
    }

    pub(super) fn lose(&mut self, lost: Lost) {
        let left = self.replicas.remove(&lost);
        if let (Some((model, replica_id)), Some(roster)) = (left, &self.roster) {
            roster.left(model, replica_id);
        }
        self.scheduler.on_left(lost.key, lost.left);
    }

    fn lose_because_of(&mut self, key: ReplicaKey, error: &wire::DecodeError) {
        tracing::error!("a model server sent nonsense: {error}");
        self.lose(Lost::died(key, "sends nonsense"));
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
