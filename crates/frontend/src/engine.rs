//! The engine: one loop that owns the ZeroMQ sockets and the scheduler.
//!
//! Wait for sockets or the next deadline, tell the scheduler what came, carry out what it answers. Nothing on this path
//! locks, waits for another thread or wakes one. A loop that found work looks for more before it waits again: under load
//! it does not poll at all.

mod commands;
mod containers;
mod queries;

use std::{
    collections::HashSet,
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use anyhow::Context;
use scheduler::{Action, Finished, Now, Scheduler};
use transport::{Frame, Timer, Wake};

use crate::{
    answers::Answers,
    cache::Cache,
    clients::{Clients, Pending},
    command::Command,
    doors::Port,
    metrics::Metrics,
    outcome::{Ended, Outcome, Passed},
    replicas::Replicas,
    settings::Settings,
    sockets::Sockets,
    state::Roster,
    traces::Traces,
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
    traces: Traces,
    cache: Option<Cache>,
    commands: Receiver<Command>,
    wake: Wake,
    timer: Timer,
    clock: Instant,
    /// Drawn at every start: what belongs to an earlier one is dropped.
    session: u64,
    /// Where replicas get their numbers, if not from this engine.
    roster: Option<Roster>,
    /// Model servers that wait for their number.
    joining: HashSet<(Port, Vec<u8>)>,
    message: Vec<Frame>,
}

impl Engine {
    pub(crate) fn new(
        sockets: Sockets,
        (commands, wake): (Receiver<Command>, Wake),
        answers: Answers,
        settings: &Settings,
    ) -> anyhow::Result<Engine> {
        let session = rand::random();
        let clients = Clients::new(session, settings.dialect(), answers);
        let traces = match &settings.trace_file {
            Some(file) => Traces::to(file, settings.trace_every, clients.started())?,
            None => Traces::off(),
        };
        let clock = Instant::now();
        Ok(Engine {
            sockets,
            scheduler: Scheduler::new(rand::random(), settings.rules()),
            clients,
            replicas: Replicas::new(session),
            metrics: Metrics::default(),
            traces,
            cache: Cache::new(settings.prediction_cache_size),
            commands,
            wake,
            timer: Timer::new()?,
            clock,
            session,
            roster: None,
            joining: HashSet::new(),
            message: Vec::new(),
        })
    }

    /// Lets replicas get their numbers from here, if it is there.
    pub(crate) fn with_roster(self, roster: Option<Roster>) -> Engine {
        Engine { roster, ..self }
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
            for lost in self.replicas.look_after(&mut self.sockets.doors, now) {
                self.lose(lost);
            }
            self.hand_out(now);
            self.clients.flush();
            if found == 0 || now.saturating_sub(looked_up) >= LOOK_UP {
                looked_up = now;
                if self.wait(stop, found > 0)? {
                    break;
                }
            }
        }
        self.replicas.say_goodbye(&mut self.sockets.doors);
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
            doors,
            answers,
            requests,
        } = &self.sockets;
        let [rpc, rpc_2017, rpc_send, rpc_recv] = Port::ALL.map(|port| doors.poll_item(port));
        let mut items = [
            zmq::PollItem::from_fd(stop.as_raw_fd(), zmq::POLLIN),
            zmq::PollItem::from_fd(self.wake.fd(), zmq::POLLIN),
            zmq::PollItem::from_fd(self.timer.fd(), zmq::POLLIN),
            rpc,
            rpc_2017,
            rpc_send,
            rpc_recv,
            answers.as_poll_item(zmq::POLLIN),
            requests.as_poll_item(zmq::POLLIN),
        ];
        match zmq::poll(&mut items, timeout) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for messages"),
        }
        let [stopped, woken, timed, came @ .., _, _] = items.map(|item| item.is_readable());
        for (port, came) in Port::ALL.into_iter().zip(came) {
            if came {
                self.sockets.doors.wake(port);
            }
        }
        if woken {
            self.wake.clear();
        }
        if timed {
            self.timer.clear()?;
        }
        Ok(stopped)
    }

    /// Lets the scheduler act, and does what it says, until there is nothing more to do at this moment: a batch that cannot
    /// be sent gives it more to do.
    fn hand_out(&mut self, now: Now) {
        let mut acted = true;
        while acted {
            acted = false;
            self.take_back_of_lost();
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
                let passed = Passed::unsent(query.arrived, now);
                self.conclude_without(&query, Ended::Default(reason), passed);
            }
            Action::Hung(key) => self.replicas.hung(key),
        }
    }

    /// A query that no model answered gets its application's default output.
    fn conclude_without(&mut self, query: &Finished<Pending>, why: Ended, passed: Passed) {
        let default = query.app.default_output.as_bytes();
        self.conclude(query, &Outcome::without_output(why, default, passed));
    }

    /// Counts and answers a query that has come to its end.
    fn conclude(&mut self, query: &Finished<Pending>, outcome: &Outcome<'_>) {
        let now = outcome.passed.answered;
        let latency = now.saturating_sub(query.arrived);
        self.metrics
            .query(&query.app.name, latency, &outcome.ended, now);
        self.traces.query(&query.app.name, outcome);
        let socket = &mut self.sockets.answers;
        self.clients.answer(socket, &query.payload, outcome);
    }
}
