//! Client threads that send queries at a pace: a closed loop, an open one, or every input once. One load is one phase.
//!
//! - [`pacer`]: when the next query is intended.
//! - [`flow`]: a client without its sockets and clock; `client` gives it both.
//! - [`steady`]: when the window opens.
//! - [`overload`]: whether an open loop offers more than is served, and when it then ends.
//! - [`settle`]: what an overloaded load leaves behind.
//! - [`trace`]: arrival times out of a file.
//! - `threads`: what the generator itself takes of its cores.

mod client;
pub mod flow;
pub mod overload;
pub mod pacer;
mod settle;
mod shared;
pub mod steady;
mod threads;
pub mod trace;

use std::{
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use host::cores;
use model::DataType;
use transport::Frame;

pub use settle::settle;

use client::Client;
use flow::Finished;
use overload::Overload;
use pacer::Pace;
use shared::Shared;
use steady::Course;
use threads::Threads;

use crate::{
    Error, phases,
    results::PhaseKind,
    stats::{Slice, Span, Tally},
};

/// Where queries go.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// Where clients connect and get their answers, for instance `tcp://127.0.0.1:4455`.
    pub answers: String,
    /// Where requests go.
    pub requests: String,
    /// The application.
    pub app: &'a str,
    /// The type of the inputs.
    pub input_type: DataType,
}

/// What to send, where to, and for how long.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    /// Where queries go.
    pub target: Target<'a>,
    /// What it is for.
    pub kind: PhaseKind,
    /// How queries arrive.
    pub pace: Pace,
    /// The cores of the client threads and their I/O; `None`: those of the calling thread.
    pub cores: Option<&'a [usize]>,
    /// Client threads; in a closed loop, no more than there are queries in flight.
    pub clients: usize,
    /// How long queries are sent, warm-up included; of no meaning for [`Pace::Once`], where all of it is the window.
    pub duration: Duration,
    /// When the window opens.
    pub opening: Opening,
    /// The window closes early once the 95 % interval of its figure is narrower than plus or minus this share of it.
    pub until: Option<f64>,
    /// After the last query: how long without any answer until the missing ones are given up. Twice the slowest
    /// answer's time, if that is longer.
    pub patience: Duration,
    /// Answers within this time are counted as goodput, and an overloaded open loop waits for its last ones so long.
    pub objective: Option<Duration>,
    /// When the point's first load began, for [`Progress::elapsed`].
    pub since: Instant,
}

/// When the window opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// With the first query.
    AtOnce,
    /// After this time, whatever happens.
    After(Duration),
    /// When all replicas are warm and what they answer is steady, but not before this time; and at half of the duration at
    /// the latest.
    Steady(Duration),
}

/// What the watcher is told, about ten times a second.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What the load is for.
    pub kind: PhaseKind,
    /// Since the point's first query.
    pub elapsed: Duration,
    /// Since this load's first query.
    pub in_phase: Duration,
    /// For how long this load sends.
    pub planned: Duration,
    /// True once the window is open.
    pub measuring: bool,
    /// Answers of any kind to this load until now.
    pub answered: u64,
    /// Queries in flight.
    pub in_flight: u64,
    /// The model's answers in the last second.
    pub ok_per_second: f64,
    /// Median and 99th percentile, in milliseconds, of the last slice of the window that is over.
    pub last_slice: Option<[f64; 2]>,
    /// The mean size of the batches whose answers arrived in it.
    pub mean_batch: Option<f64>,
    /// Queries that waited in the frontend, in the mean over that slice: the sum of their waiting over its length.
    pub queued: Option<f64>,
}

/// What the watcher answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// Some replica has not worked yet: keep warming up.
    Cold,
    /// Go on.
    Warm,
    /// End now; what is in flight is cancelled.
    Stop,
}

/// What a load has shown.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The counts of all clients.
    pub tally: Tally,
    /// The measured window; empty if it was stopped before it opened.
    pub span: Span,
    /// True if the window opened because what was asked for had come about, not because half of the time was over.
    pub steady: bool,
    /// True if it was an open loop that offered more than was served: no latency is known then, and what was unanswered
    /// at the end of the drain is cancelled.
    pub overloaded: bool,
    /// The cores' worth of time that the busiest thread of the load generator took while the window was open.
    pub busiest_thread: f64,
}

/// What a client tells the thread that watches.
enum Told {
    Finished(usize, Finished),
    Ended(Result<Box<Tally>, Error>),
}

impl Load<'_> {
    fn clients(&self) -> usize {
        let most = self.pace.in_flight().unwrap_or(usize::MAX);
        self.clients.min(most).max(1)
    }
}

/// Sends `inputs` in turn until the duration is over, or each once, waits for the answers that are missing, and counts.
///
/// `watch` is called on this thread. [`Totals::seconds`](crate::stats::Totals) is the length of the window, or of the
/// warm-up before it.
pub fn run(
    load: &Load<'_>,
    inputs: &[Frame],
    mut watch: impl FnMut(&Progress) -> Go,
) -> Result<Measured, Error> {
    let failed = |error| Error::Failed(format!("cannot start the clients on their cores: {error}"));
    // ZeroMQ's own thread starts with the first socket.
    let context = zmq::Context::new();
    let clients = cores::on(load.cores, || {
        let connect = |index| Client::connect(&context, load, inputs, index);
        (0..load.clients())
            .map(connect)
            .collect::<Result<Vec<_>, _>>()
    });
    let clients = clients.map_err(failed)??;
    let shared = Shared::begin(load, clients.len());
    thread::scope(|scope| {
        // Ends the clients even if `watch` panics: the scope waits for them.
        let _stop = StopOnDrop(&shared);
        let (told, reports) = mpsc::channel();
        let start = |client: Client| {
            let (told, shared) = (told.clone(), &shared);
            let named = thread::Builder::new().name(threads::CLIENT.to_owned());
            let spawned = named.spawn_scoped(scope, move || {
                let ended = client.run(load, shared, &told);
                // Nobody listens any more once another client has failed.
                let _ = told.send(Told::Ended(ended.map(Box::new)));
            });
            spawned.map(drop)
        };
        let started = cores::on(load.cores, || clients.into_iter().try_for_each(start));
        started.and_then(|started| started).map_err(failed)?;
        drop(told);
        Watcher::new(load, &shared).run(&reports, &mut watch)
    })
}

/// Puts the clients' counts together, and opens and closes the window.
struct Watcher<'a> {
    load: &'a Load<'a>,
    shared: &'a Shared,
    all: Tally,
    course: Course,
    steady: bool,
    /// In an open loop.
    overload: Option<Overload>,
    threads: Threads,
    /// Of each client, how many slices it has finished.
    finished: Vec<usize>,
}

impl<'a> Watcher<'a> {
    fn new(load: &'a Load<'a>, shared: &'a Shared) -> Watcher<'a> {
        Watcher {
            load,
            shared,
            all: Tally::new(load.objective),
            course: Course::new(load.pace.in_flight(), load.duration),
            steady: load.pace.is_once(),
            overload: (load.pace.in_flight().is_none())
                .then(|| Overload::new(shared.began, load.objective)),
            threads: Threads::default(),
            finished: vec![0; shared.counters.len()],
        }
    }

    fn run(
        mut self,
        reports: &Receiver<Told>,
        watch: &mut impl FnMut(&Progress) -> Go,
    ) -> Result<Measured, Error> {
        const TICK: Duration = Duration::from_millis(100);
        let mut tick = self.shared.began + TICK;
        loop {
            let left = tick.saturating_duration_since(Instant::now());
            match reports.recv_timeout(left) {
                Ok(Told::Ended(tally)) => self.all.merge(*tally?),
                Ok(Told::Finished(client, finished)) => self.take(client, finished),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    tick += TICK;
                    let progress = self.progress();
                    let go = watch(&progress);
                    self.steer(go, progress.in_phase);
                    self.end_if_overloaded();
                    self.threads.look(&self.shared.span());
                }
            }
        }
        Ok(self.measured())
    }

    fn take(&mut self, client: usize, finished: Finished) {
        let before = self.finished();
        for (index, slice) in &finished.slices {
            self.all.slice(*index).merge(slice);
        }
        self.finished[client] = finished.end;
        let count = self.finished();
        if let Some(until) = self.load.until
            && count > before
        {
            let span = self.shared.span();
            let figure = phases::figure(self.load, &mut self.all, &span, count);
            if figure.is_some_and(|figure| figure.is_within(until)) {
                self.shared.close_early();
            }
        }
    }

    /// How many slices all clients have finished.
    fn finished(&self) -> usize {
        self.finished.iter().copied().min().unwrap_or(0)
    }

    fn progress(&mut self) -> Progress {
        let counts = self.shared.counts();
        let in_phase = self.shared.began.elapsed();
        self.course.tell(in_phase, counts.ok);
        let slice = self.last_slice();
        let seconds = self.shared.span().slice.as_secs_f64();
        Progress {
            kind: self.load.kind,
            elapsed: self.load.since.elapsed(),
            in_phase,
            planned: self.load.duration,
            measuring: self.shared.is_open(),
            answered: counts.answered,
            in_flight: counts.sent.saturating_sub(counts.answered),
            ok_per_second: self.course.rate(),
            last_slice: slice.map(|slice| {
                [0.5, 0.99].map(|quantile| slice.latency.value_at_quantile(quantile) as f64 / 1e3)
            }),
            mean_batch: slice.and_then(|slice| slice.arrived.mean_batch()),
            queued: slice.map(|slice| slice.arrived.micros[0] as f64 / 1e6 / seconds),
        }
    }

    /// The last slice that all clients have finished, unless nothing was answered in it.
    fn last_slice(&self) -> Option<&Slice> {
        let slice = self.all.slices.get(self.finished().checked_sub(1)?)?;
        (!slice.latency.is_empty()).then_some(slice)
    }

    fn steer(&mut self, go: Go, in_phase: Duration) {
        if go == Go::Stop {
            return self.shared.stop();
        }
        if self.shared.is_open() {
            return;
        }
        let (ready, latest) = match self.load.opening {
            Opening::AtOnce => (true, Duration::ZERO),
            Opening::After(time) => (go == Go::Warm && in_phase >= time, time),
            Opening::Steady(earliest) => {
                let steady = in_phase >= earliest && self.course.is_steady();
                (go == Go::Warm && steady, self.load.duration / 2)
            }
        };
        if ready || in_phase >= latest {
            self.steady = ready;
            self.shared.open();
        }
    }

    fn end_if_overloaded(&mut self) {
        let (now, span, counts) = (Instant::now(), self.shared.span(), self.shared.counts());
        let overload = self.overload.as_mut();
        if overload.is_some_and(|overload| overload.tell(now, &span, counts)) {
            self.shared.stop();
        }
    }

    fn measured(mut self) -> Measured {
        let counts = self.shared.counts();
        let overloaded = self
            .overload
            .is_some_and(|overload| overload.is_found(counts));
        let span = self.shared.span();
        let end = span.closes.min(Instant::now());
        let opened = span.opens.min(end);
        self.all.warm_up.seconds = (opened - self.shared.began).as_secs_f64();
        self.all.totals.seconds = (end - opened).as_secs_f64();
        Measured {
            tally: self.all,
            span,
            steady: self.steady,
            overloaded,
            busiest_thread: self.threads.busiest(),
        }
    }
}

struct StopOnDrop<'a>(&'a Shared);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}
