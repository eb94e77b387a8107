//! The engine: one thread with one loop, which owns the ZeroMQ sockets and the scheduler.
//!
//! A turn of the loop has three steps:
//!
//! 1. It polls until a socket, a command or a deadline needs attention.
//! 2. It receives commands of other threads, connect messages and requests of clients, and messages
//!    of model servers. It passes the queries and the changes of replicas to the scheduler, as
//!    events.
//! 3. It carries out the scheduler's actions: it sends batches to replicas and answers to clients.
//!
//! Serving a ZeroMQ query takes no lock and does not wait for another thread.

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
    cache::PredictionCache,
    catalog::Catalog,
    clients::{Clients, QueryPayload},
    command::Command,
    container_sockets::ContainerPort,
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
    way_back::WayBack,
};

/// Maximum number of messages that are received from one source in a turn.
const MESSAGES_PER_TURN: usize = 512;

/// The state of the loop.
pub(crate) struct Engine {
    sockets: Sockets,
    catalog: Arc<Catalog>,
    /// Input shapes and output types that replicas declare, for the HTTP threads.
    declarations: Declarations,
    scheduler: Scheduler<QueryPayload>,
    clients: Clients,
    replicas: Replicas,
    metrics: Metrics,
    traces: Traces,
    cache: Option<PredictionCache>,
    commands: Receiver<Command>,
    /// Wakes the loop when a command is sent.
    waker: Waker,
    way_back: Arc<WayBack>,
    /// Wakes the loop at a deadline.
    timer: Timer,
    /// Time for which `timer` is armed; `None` if it is not.
    timer_armed_for: Option<Timestamp>,
    /// Start of the engine, from which every [`Timestamp`] counts.
    clock: Instant,
    /// Random number of this start. Messages with the number of an earlier start are dropped.
    session: u64,
    /// Allocates the ids of replicas if frontends share their state; otherwise the engine numbers
    /// the replicas.
    replica_ids: Option<ReplicaIds>,
    /// Model servers that wait for a replica id, by port and routing identity.
    joining: HashSet<(ContainerPort, Vec<u8>)>,
    heap_trimmer: HeapTrimmer,
    /// Buffer for the message that is received or sent.
    message: Vec<Frame>,
    /// Maximum time for the queries in flight to end after the stop signal.
    drain_time: Duration,
    /// End of the drain; `None` before the stop signal.
    drain_deadline: Option<Timestamp>,
}

/// Connections between the engine and the other threads.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) inbox: Inbox,
    pub(crate) replies: Replies,
    /// Allocates the ids of replicas if frontends share their state.
    pub(crate) replica_ids: Option<ReplicaIds>,
    pub(crate) declarations: Declarations,
    pub(crate) drop_log: DropLog,
}

impl Engine {
    /// Creates an engine without applications, models and replicas.
    ///
    /// # Errors
    /// If the trace file cannot be written, or the system has no threads or file descriptors left.
    pub(crate) fn new(
        sockets: Sockets,
        links: Links,
        settings: &Settings,
    ) -> Result<Engine, Error> {
        let session = rand::random();
        let dialect = settings.dialect();
        let clients = Clients::new(session, dialect, links.replies, links.drop_log);
        let traces = match &settings.trace_file {
            Some(file) => Traces::to_file(file, settings.trace_every, clients.clock_start())?,
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
            cache: PredictionCache::new(settings.prediction_cache_size),
            commands: links.inbox.commands,
            waker: links.inbox.wake,
            way_back: links.inbox.way_back,
            timer: Timer::new()?,
            timer_armed_for: None,
            clock,
            session,
            replica_ids: links.replica_ids,
            joining: HashSet::new(),
            heap_trimmer: HeapTrimmer::default(),
            message: Vec::new(),
            drain_time: Duration::from_secs(settings.drain_seconds),
            drain_deadline: None,
        })
    }

    /// Runs the loop until the engine is stopped through `stop`.
    ///
    /// The first byte on `stop` starts the drain: new queries are refused, and the loop ends with
    /// the last query in flight, or when the drain time is over. A second byte, or the end of the
    /// stream, ends the loop at once. Queries that are still in flight then get the default output.
    pub(crate) fn run(mut self, stop: &UnixStream) -> Result<(), Error> {
        while !self.is_drained() {
            let stop_is_readable = self.poll(stop)?;
            if stop_is_readable {
                self.on_stop_signal(stop);
            }
            self.receive_commands();
            self.receive_connects()?;
            self.receive_from_containers()?;
            self.receive_requests()?;
            let now = self.clock.elapsed();
            for lost in self.replicas.probe(&mut self.sockets.containers, now) {
                self.remove_replica(lost);
            }
            self.dispatch(now);
            self.clients.flush();
            self.trim_heap(now);
        }
        self.shut_down();
        Ok(())
    }

    /// Reads the stop signal, and starts or ends the drain.
    fn on_stop_signal(&mut self, mut stop: &UnixStream) {
        let mut bytes = [0; 16];
        let now = self.clock.elapsed();
        self.drain_deadline = match (stop.read(&mut bytes), self.drain_deadline) {
            // The read returned no byte, so the drain is unchanged.
            (Err(_), deadline) => deadline,
            (Ok(1), None) => {
                tracing::info!("stopping: new queries are refused");
                self.scheduler.close();
                Some(now + self.drain_time)
            }
            (Ok(_), _) => Some(now),
        };
    }

    /// Returns true after the stop signal, once no query is in flight or the drain time is over.
    fn is_drained(&self) -> bool {
        self.drain_deadline.is_some_and(|deadline| {
            deadline <= self.clock.elapsed() || self.scheduler.unanswered().next().is_none()
        })
    }

    /// Answers the queries that are still in flight, and sends a goodbye to each model server.
    fn shut_down(&mut self) {
        let unanswered = self.scheduler.unanswered().count();
        if unanswered > 0 {
            tracing::warn!(
                "stopped with {unanswered} queries in flight: they get the default output"
            );
        }
        self.scheduler.abort();
        self.dispatch(self.clock.elapsed());
        self.clients.flush();
        self.replicas.send_goodbyes(&mut self.sockets.containers);
    }

    /// Polls all sockets, and waits for an event unless a socket may still hold messages. Returns
    /// true if `stop` is readable.
    fn poll(&mut self, stop: &UnixStream) -> Result<bool, Error> {
        let busy = self.sockets.iter_mut().any(|socket| socket.is_awake());
        let timeout = if busy { 0 } else { -1 };
        if !busy {
            self.arm_timer()?;
        }
        let fds = [stop.as_raw_fd(), self.waker.fd(), self.timer.fd()];
        let mut items: Vec<zmq::PollItem<'_>> =
            fds.map(|fd| zmq::PollItem::from_fd(fd, zmq::POLLIN)).into();
        items.extend(self.sockets.iter_mut().map(|socket| socket.poll_item()));
        match zmq::poll(&mut items, timeout) {
            Ok(_) | Err(zmq::Error::EINTR) => {}
            Err(error) => return Err(Error::Wait(error)),
        }
        let (fds, sockets) = items.split_at(fds.len());
        for (socket, item) in self.sockets.iter_mut().zip(sockets) {
            if item.is_readable() {
                socket.wake();
            }
        }
        let [stop, waker, timer] = [0, 1, 2].map(|index| fds[index].is_readable());
        if waker {
            self.waker.clear();
        }
        if timer {
            self.timer.clear()?;
            self.timer_armed_for = None;
        }
        Ok(stop)
    }

    /// Arms the timer for the next deadline, unless it fires earlier already; firing early is
    /// harmless.
    fn arm_timer(&mut self) -> io::Result<()> {
        let deadlines = [
            self.scheduler.next_deadline(),
            self.replicas.next_probe(),
            self.drain_deadline,
        ];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            return Ok(());
        };
        if self.timer_armed_for.is_none_or(|at| next < at) {
            let now = self.clock.elapsed();
            self.timer.set(Some(next.saturating_sub(now)))?;
            self.timer_armed_for = Some(next);
        }
        Ok(())
    }

    /// Lets the scheduler form batches and carries out its actions, until there are none left. One
    /// round is not always enough: a batch that cannot be sent returns to the queue.
    fn dispatch(&mut self, now: Timestamp) {
        let mut acted = true;
        while acted {
            acted = false;
            self.cancel_queries_of_lost_clients();
            self.scheduler.dispatch(now);
            while let Some(action) = self.scheduler.next_action() {
                acted = true;
                self.carry_out(action, now);
            }
        }
    }

    fn carry_out(&mut self, action: Action<QueryPayload>, now: Timestamp) {
        match action {
            Action::SendBatch(batch) => self.send_batch(&batch, now),
            Action::AnswerDefault(query, reason) => {
                let timeline = Timeline::unsent(query.arrived, now);
                self.finish_with_default(&query, QueryStatus::Default(reason), timeline);
            }
            Action::ReplicaHung(key) => self.replicas.on_hung(key),
            Action::ReplicaEjected(key) => self.replicas.log_ejected(key),
            Action::ReplicaReadmitted(key) => self.replicas.log_readmitted(key),
        }
    }

    /// Ends a query that no model answered: its client gets the application's default output.
    fn finish_with_default(
        &mut self,
        query: &Query<QueryPayload>,
        status: QueryStatus,
        timeline: Timeline,
    ) {
        let default = query.app.default_output.as_bytes();
        self.finish(
            query,
            &QueryResult::without_output(status, default, timeline),
        );
    }

    /// Ends a query: records its result in metrics and traces, and sends the answer to its client.
    fn finish(&mut self, query: &Query<QueryPayload>, result: &QueryResult<'_>) {
        self.metrics.query(&query.app.name, result);
        self.traces.query(&query.app.name, result);
        let socket = &mut self.sockets.answers;
        self.clients.answer(socket, &query.payload, result);
    }

    /// Returns free memory to the kernel some time after a long queue became short. The call takes
    /// milliseconds, so a separate thread makes it. If no thread can be started, the memory is kept
    /// until the next long queue.
    fn trim_heap(&mut self, now: Timestamp) {
        if self.heap_trimmer.is_due(|| self.scheduler.queued(), now) {
            let _ = thread::Builder::new().spawn(transport::return_free_memory);
        }
    }
}
