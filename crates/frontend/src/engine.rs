//! The engine: one loop that owns the ZeroMQ sockets and the scheduler.
//!
//! Wait for sockets or the next deadline, tell the scheduler what came, carry out what it answers. Nothing on this path
//! locks, waits for another thread or wakes one.

mod commands;
mod containers;
mod heap_trimmer;
mod queries;

use std::{
    collections::HashSet,
    io::{self, Read},
    os::{fd::AsRawFd, unix::net::UnixStream},
    sync::{Arc, mpsc::Receiver},
    thread,
    time::{Duration, Instant},
};

use heap_trimmer::HeapTrimmer;
use scheduler::{Action, Query, Scheduler, Timestamp};
use transport::{Frame, Timer, Waker};

use crate::{
    cache::Cache,
    catalog::Catalog,
    clients::{Clients, Pending},
    command::Command,
    container_sockets::Port,
    declarations::Declarations,
    drop_log::DropLog,
    error::Error,
    handle::Inbox,
    metrics::Metrics,
    query_result::{QueryResult, QueryStatus},
    replicas::Replicas,
    replies::Replies,
    settings::Settings,
    sockets::Sockets,
    state::ReplicaIds,
    timeline::Timeline,
    traces::Traces,
};

/// Messages to take from one socket before looking at the others.
const TURN: usize = 512;

pub(crate) struct Engine {
    sockets: Sockets,
    catalog: Arc<Catalog>,
    declarations: Declarations,
    scheduler: Scheduler<Pending>,
    clients: Clients,
    replicas: Replicas,
    metrics: Metrics,
    traces: Traces,
    cache: Option<Cache>,
    commands: Receiver<Command>,
    wake: Waker,
    timer: Timer,
    /// When that fires, if it is set.
    wakes_at: Option<Timestamp>,
    clock: Instant,
    /// Drawn at every start: what belongs to an earlier one is dropped.
    session: u64,
    /// Where replicas get their numbers, if not from this engine.
    replica_ids: Option<ReplicaIds>,
    /// Model servers that wait for their number.
    joining: HashSet<(Port, Vec<u8>)>,
    heap_trimmer: HeapTrimmer,
    message: Vec<Frame>,
    /// How long to finish what is under way.
    drain: Duration,
    /// When that ends, once it was told to stop.
    drained_at: Option<Timestamp>,
}

/// What connects the engine with the other threads.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) inbox: Inbox,
    pub(crate) replies: Replies,
    /// Where replicas get their numbers, if not from the engine.
    pub(crate) replica_ids: Option<ReplicaIds>,
    pub(crate) declarations: Declarations,
    pub(crate) drop_log: DropLog,
}

impl Engine {
    /// An engine without applications, models and replicas.
    ///
    /// # Errors
    /// If the file of traces cannot be written, or the system has no more threads or file descriptors.
    pub(crate) fn new(
        sockets: Sockets,
        links: Links,
        settings: &Settings,
    ) -> Result<Engine, Error> {
        let session = rand::random();
        let dialect = settings.dialect();
        let clients = Clients::new(session, dialect, links.replies, links.drop_log);
        let traces = match &settings.trace_file {
            Some(file) => Traces::to(file, settings.trace_every, clients.started())?,
            None => Traces::off(),
        };
        let clock = Instant::now();
        Ok(Engine {
            sockets,
            catalog: Arc::default(),
            scheduler: Scheduler::new(rand::random(), settings.rules()),
            clients,
            replicas: Replicas::new(session, links.declarations.clone()),
            declarations: links.declarations,
            metrics: Metrics::default(),
            traces,
            cache: Cache::new(settings.prediction_cache_size),
            commands: links.inbox.commands,
            wake: links.inbox.wake,
            timer: Timer::new()?,
            wakes_at: None,
            clock,
            session,
            replica_ids: links.replica_ids,
            joining: HashSet::new(),
            heap_trimmer: HeapTrimmer::default(),
            message: Vec::new(),
            drain: Duration::from_secs(settings.drain_seconds),
            drained_at: None,
        })
    }

    /// Runs until `stop` says so: a byte, and it takes no more queries and ends when the last one has ended, or its time is
    /// over; another, or the stream's end, and it ends at once. Queries that are left get their default output.
    pub(crate) fn run(mut self, stop: &UnixStream) -> Result<(), Error> {
        while !self.is_drained() {
            if self.wait(stop)? {
                self.told_to_stop(stop);
            }
            self.take_commands();
            self.take_connects()?;
            self.take_containers()?;
            self.take_requests()?;
            let now = self.clock.elapsed();
            for lost in self.replicas.look_after(&mut self.sockets.containers, now) {
                self.lose(lost);
            }
            self.hand_out(now);
            self.clients.flush();
            if self
                .heap_trimmer
                .is_due(self.scheduler.loads().map(|(_, load)| load), now)
            {
                // In a thread of its own, because it takes milliseconds; where none can be had, after the next long queue.
                let _ = thread::Builder::new().spawn(transport::give_back_memory);
            }
        }
        let left = self.scheduler.waiting().count();
        if left > 0 {
            tracing::warn!("{left} queries were under way: they get their default output");
        }
        self.scheduler.give_up();
        self.hand_out(self.clock.elapsed());
        self.clients.flush();
        self.replicas.say_goodbye(&mut self.sockets.containers);
        Ok(())
    }

    fn told_to_stop(&mut self, mut stop: &UnixStream) {
        let mut said = [0; 16];
        let now = self.clock.elapsed();
        self.drained_at = match (stop.read(&mut said), self.drained_at) {
            // It can be read, but somebody else did.
            (Err(_), until) => until,
            (Ok(1), None) => {
                tracing::info!("stopping: no more queries are taken");
                self.scheduler.close();
                Some(now + self.drain)
            }
            (Ok(_), _) => Some(now),
        };
    }

    fn is_drained(&self) -> bool {
        self.drained_at.is_some_and(|at| {
            at <= self.clock.elapsed() || self.scheduler.waiting().next().is_none()
        })
    }

    /// Looks what came, and waits for something to happen unless there is more to do; true if it is told to stop.
    fn wait(&mut self, stop: &UnixStream) -> Result<bool, Error> {
        let busy = self.sockets.iter_mut().any(|socket| socket.is_awake());
        let timeout = if busy { 0 } else { -1 };
        if !busy {
            self.set_timer()?;
        }
        let own = [stop.as_raw_fd(), self.wake.fd(), self.timer.fd()];
        let mut items: Vec<zmq::PollItem<'_>> =
            own.map(|fd| zmq::PollItem::from_fd(fd, zmq::POLLIN)).into();
        items.extend(self.sockets.iter_mut().map(|socket| socket.poll_item()));
        match zmq::poll(&mut items, timeout) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(Error::Wait(error)),
        }
        let (own, sockets) = items.split_at(own.len());
        for (socket, item) in self.sockets.iter_mut().zip(sockets) {
            if item.is_readable() {
                socket.wake();
            }
        }
        if own[1].is_readable() {
            self.wake.clear();
        }
        if own[2].is_readable() {
            self.timer.clear()?;
            self.wakes_at = None;
        }
        Ok(own[0].is_readable())
    }

    /// Has the timer fire when there is something to do though nothing came; sooner does no harm.
    fn set_timer(&mut self) -> io::Result<()> {
        let next = [
            self.scheduler.next_wake(),
            self.replicas.next_look(),
            self.drained_at,
        ];
        let Some(next) = next.into_iter().flatten().min() else {
            return Ok(());
        };
        if self.wakes_at.is_none_or(|at| next < at) {
            let now = self.clock.elapsed();
            self.timer.set(Some(next.saturating_sub(now)))?;
            self.wakes_at = Some(next);
        }
        Ok(())
    }

    /// Lets the scheduler act, and does what it says, until there is nothing more to do at this moment: a batch that cannot
    /// be sent gives it more to do.
    fn hand_out(&mut self, now: Timestamp) {
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

    fn carry_out(&mut self, action: Action<Pending>, now: Timestamp) {
        match action {
            Action::Send(send) => self.send_batch(&send, now),
            Action::Default(query, reason) => {
                let timeline = Timeline::unsent(query.arrived, now);
                self.conclude_without(&query, QueryStatus::Default(reason), timeline);
            }
            Action::Hung(key) => self.replicas.hung(key),
        }
    }

    /// A query that no model answered gets its application's default output.
    fn conclude_without(&mut self, query: &Query<Pending>, why: QueryStatus, timeline: Timeline) {
        let default = query.app.default_output.as_bytes();
        self.conclude(query, &QueryResult::without_output(why, default, timeline));
    }

    /// Counts and answers a query that has come to its end.
    fn conclude(&mut self, query: &Query<Pending>, result: &QueryResult<'_>) {
        self.metrics.query(&query.app.name, result);
        self.traces.query(&query.app.name, result);
        let socket = &mut self.sockets.answers;
        self.clients.answer(socket, &query.payload, result);
    }
}
