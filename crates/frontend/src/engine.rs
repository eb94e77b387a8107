//! The engine: one loop that owns the ZeroMQ sockets and the scheduler.
//!
//! Wait for sockets or the next deadline, tell the scheduler what came, carry out what it answers. Nothing on this path
//! locks, waits for another thread or wakes one. A loop that found work looks for more before it waits again: under load
//! it does not poll at all.

use std::{
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use anyhow::Context;
use scheduler::{Action, Arriving, Left, Now, Refusal, ReplicaKey, Scheduler};
use transport::{Frame, Timer, Wake, recv, send};
use wire::{
    query,
    query::{Status, Timing},
    rpc::{FromContainer, FromFrontend, NewContainer, RequestHead, Response},
};

use crate::{
    clients::{Clients, Outcome, Pending},
    command::Command,
    metrics::Metrics,
    replicas::{Lost, Replicas},
    sockets::Sockets,
};

/// Messages to take from one socket before looking at the others.
const TURN: usize = 512;

/// How often to look at signals while there is always work.
const LOOK_UP: Duration = Duration::from_millis(5);

pub(crate) struct Engine {
    sockets: Sockets,
    scheduler: Scheduler<Pending>,
    clients: Clients,
    replicas: Replicas,
    metrics: Metrics,
    commands: Receiver<Command>,
    wake: Wake,
    timer: Timer,
    clock: Instant,
    /// Drawn at every start: what belongs to an earlier one is dropped.
    session: u64,
    message: Vec<Frame>,
}

impl Engine {
    pub(crate) fn new(
        sockets: Sockets,
        commands: Receiver<Command>,
        wake: Wake,
    ) -> anyhow::Result<Engine> {
        let session = rand::random();
        Ok(Engine {
            sockets,
            scheduler: Scheduler::new(rand::random()),
            clients: Clients::new(session),
            replicas: Replicas::new(session),
            metrics: Metrics::default(),
            commands,
            wake,
            timer: Timer::new()?,
            clock: Instant::now(),
            session,
            message: Vec::new(),
        })
    }

    /// Runs until `stop` can be read.
    pub(crate) fn run(mut self, stop: &UnixStream) -> anyhow::Result<()> {
        let mut looked_up = Now::ZERO;
        loop {
            let mut found = self.take_commands();
            found += self.take_connects()?;
            found += self.take_containers()?;
            found += self.take_requests()?;
            let now = self.clock.elapsed();
            for lost in self.replicas.look_after(&mut self.sockets.containers, now) {
                self.lose(lost);
            }
            self.hand_out(now);
            if found == 0 || now.saturating_sub(looked_up) >= LOOK_UP {
                looked_up = now;
                if self.wait(stop, found > 0)? {
                    break;
                }
            }
        }
        self.replicas.say_goodbye(&mut self.sockets.containers);
        Ok(())
    }

    /// Waits for something to happen, unless there is more to do; true if it is time to stop.
    fn wait(&mut self, stop: &UnixStream, busy: bool) -> anyhow::Result<bool> {
        let mut timeout = -1;
        if busy {
            timeout = 0;
        } else {
            let next = [self.scheduler.next_wake(), self.replicas.next_look()];
            let next = next.into_iter().flatten().min();
            let now = self.clock.elapsed();
            self.timer.set(next.map(|next| next.saturating_sub(now)))?;
        }
        let Sockets {
            containers,
            answers,
            requests,
        } = &self.sockets;
        let mut items = [
            zmq::PollItem::from_fd(stop.as_raw_fd(), zmq::POLLIN),
            zmq::PollItem::from_fd(self.wake.fd(), zmq::POLLIN),
            zmq::PollItem::from_fd(self.timer.fd(), zmq::POLLIN),
            containers.as_poll_item(zmq::POLLIN),
            answers.as_poll_item(zmq::POLLIN),
            requests.as_poll_item(zmq::POLLIN),
        ];
        match zmq::poll(&mut items, timeout) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for messages"),
        }
        let [stopped, woken, timed, ..] = items.map(|item| item.is_readable());
        if woken {
            self.wake.clear();
        }
        if timed {
            self.timer.clear()?;
        }
        Ok(stopped)
    }

    fn take_commands(&mut self) -> usize {
        let mut taken = 0;
        while let Ok(command) = self.commands.try_recv() {
            taken += 1;
            // Whoever asked may have gone: then there is nobody to answer.
            match command {
                Command::SetApp(app) => self.scheduler.set_app(app),
                Command::Link { app, model } => self.scheduler.link(&app, &model),
                Command::SetModel(model, input_type, max) => {
                    let reason = format!("{model} takes {input_type}");
                    for key in self.scheduler.set_model(model, input_type, max) {
                        let socket = &mut self.sockets.containers;
                        self.replicas.refuse(socket, key, &reason);
                        self.lose(Lost::died(key, "takes another input type than its model"));
                    }
                }
                Command::SetCurrentVersion(model) => self.scheduler.set_current_version(model),
                Command::Sync(done) => drop(done.send(())),
                Command::Metrics(answer) => {
                    drop(answer.send(self.metrics.to_json(self.clock.elapsed())));
                }
                Command::Replicas(answer) => drop(answer.send(self.replicas.list())),
            }
        }
        taken
    }

    fn take_connects(&mut self) -> zmq::Result<usize> {
        for taken in 0..TURN {
            if !recv(&mut self.sockets.answers, &mut self.message)? {
                return Ok(taken);
            }
            self.clients
                .on_connect(&mut self.sockets.answers, &mut self.message);
        }
        Ok(TURN)
    }

    fn take_requests(&mut self) -> zmq::Result<usize> {
        for taken in 0..TURN {
            if !recv(&mut self.sockets.requests, &mut self.message)? {
                return Ok(taken);
            }
            self.on_request();
        }
        Ok(TURN)
    }

    fn on_request(&mut self) {
        let request = match query::Request::decode(self.message.get(1..).unwrap_or_default()) {
            Ok(request) => request,
            Err(error) => return self.clients.complain(&error),
        };
        let pending = Pending {
            client: request.client_id,
            request: request.request_id,
            input: request.input.keep(),
        };
        if request
            .session
            .is_some_and(|session| session != self.session)
        {
            return self.clients.complain(&"a request of an earlier session");
        }
        let arriving = Arriving {
            app: request.app,
            input_type: request.input_type,
            within: request.deadline,
            payload: pending,
        };
        let now = self.clock.elapsed();
        if let Err((pending, refusal)) = self.scheduler.on_query(arriving, now) {
            let reason = refusal.to_string();
            let output = match &refusal {
                Refusal::InputType { app, .. } => app.default_output.as_bytes(),
                Refusal::UnknownApp => {
                    return self.clients.refuse_unknown_app(
                        &mut self.sockets.answers,
                        &pending,
                        &reason,
                    );
                }
            };
            let outcome = Outcome::without_output(Status::Refused, &reason, output);
            self.clients
                .answer(&mut self.sockets.answers, &pending, &outcome);
        }
    }

    fn take_containers(&mut self) -> anyhow::Result<usize> {
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

    fn register(&mut self, identity: &Frame, new: NewContainer, now: Now) {
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
                    status: Status::Ok,
                    reason: "",
                    output_type: response.output_type,
                    output,
                    timing,
                },
                Err(reason) => Outcome {
                    timing,
                    ..Outcome::without_output(
                        Status::Error,
                        reason,
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
            let outcome = Outcome::without_output(Status::Error, reason, default);
            self.clients
                .answer(&mut self.sockets.answers, &query.payload, &outcome);
        }
    }

    /// Lets the scheduler act, and does what it says, until there is nothing more to do at this moment: a batch that cannot
    /// be sent gives it more to do.
    fn hand_out(&mut self, now: Now) {
        let mut acted = true;
        while acted {
            acted = false;
            self.scheduler.dispatch(now);
            while let Some(action) = self.scheduler.next_action() {
                acted = true;
                self.carry_out(action, now);
            }
        }
    }

    fn carry_out(&mut self, action: Action<Pending>, now: Now) {
        match action {
            Action::Send(send) => self.send_batch(&send, now),
            Action::Default(query, reason) => {
                let latency = now.saturating_sub(query.arrived);
                self.metrics.query(&query.app.name, latency, true, now);
                let reason = reason.to_string();
                let default = query.app.default_output.as_bytes();
                let outcome = Outcome::without_output(Status::Default, &reason, default);
                self.clients
                    .answer(&mut self.sockets.answers, &query.payload, &outcome);
            }
        }
    }

    fn send_batch(&mut self, batch: &scheduler::Send, now: Now) {
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

    fn lose(&mut self, lost: Lost) {
        self.replicas.remove(&lost);
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
