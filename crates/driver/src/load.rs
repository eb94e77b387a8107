//! Client threads that keep a bounded number of queries in flight: a closed loop, for some time or over every input once.

mod client;

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use model::DataType;
use transport::Frame;

use client::Client;

use crate::{
    Error, cores,
    stats::{Span, Tally},
};

/// What to send, where to and for how long.
#[derive(Clone, Debug)]
pub struct Load<'a> {
    /// Where clients connect and get their answers, for instance `tcp://127.0.0.1:4455`.
    pub answers: String,
    /// Where requests go.
    pub requests: String,
    /// The application.
    pub app: &'a str,
    /// The type of the inputs.
    pub input_type: DataType,
    /// The cores of the client threads and their I/O; `None`: those of the calling thread.
    pub cores: Option<&'a [usize]>,
    /// Client threads.
    pub clients: usize,
    /// Queries in flight, over all clients; at least one each.
    pub in_flight: usize,
    /// Each input is sent exactly once, and what the model answers is kept. Then duration and warm-up mean nothing: all
    /// of it is the window.
    pub once: bool,
    /// How long queries are sent, warm-up included.
    pub duration: Duration,
    /// The shortest warm-up; the longest is half the duration.
    pub warm_up: Duration,
    /// After the last query: how long without any answer until the missing ones are given up. Twice the slowest
    /// answer's time, if that is longer.
    pub patience: Duration,
}

/// What the watcher is told, about ten times a second.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the first query.
    pub elapsed: Duration,
    /// Answers of any kind until now.
    pub answered: u64,
    /// True once the window is open.
    pub measuring: bool,
}

/// What the watcher answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
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
    /// False if the window opened at half time, before every replica had worked.
    pub warm: bool,
}

/// Sends `inputs` in turn until the duration is over, or each once, waits for the answers that are missing, and counts.
///
/// `watch` is called on this thread, and decides when the window opens: not before the shortest warm-up, and after half
/// the duration at the latest. [`Totals::seconds`](crate::stats::Totals) is the length of the window, or of the warm-up before it.
pub fn run(
    load: &Load<'_>,
    inputs: &[Frame],
    mut watch: impl FnMut(&Progress) -> Verdict,
) -> Result<Measured, Error> {
    let failed = |error| Error::Failed(format!("cannot pin the clients: {error}"));
    // ZeroMQ's own thread starts with the first socket.
    let context = zmq::Context::new();
    let clients = cores::on(load.cores, || {
        let connect = |index| Client::connect(&context, load, inputs, index);
        (0..load.clients)
            .map(connect)
            .collect::<Result<Vec<_>, _>>()
    });
    let clients = clients.map_err(failed)??;
    let shared = Shared::begin(load);
    let (tally, warm) = thread::scope(|scope| {
        // Ends the clients even if `watch` panics: the scope waits for them.
        let _stop = StopOnDrop(&shared);
        let (done, results) = mpsc::channel();
        let start = |client: Client| {
            let (done, shared) = (done.clone(), &shared);
            scope.spawn(move || {
                // Nobody listens any more once another client has failed.
                let _ = done.send(client.run(shared));
            });
        };
        cores::on(load.cores, || clients.into_iter().for_each(start)).map_err(failed)?;
        drop(done);
        collect(load, &shared, &results, &mut watch)
    })?;
    Ok(Measured {
        tally,
        span: shared.span(),
        warm,
    })
}

/// The clients' counts put together, and whether the replicas were warm when the window opened.
fn collect(
    load: &Load<'_>,
    shared: &Shared,
    results: &mpsc::Receiver<Result<Tally, Error>>,
    watch: &mut impl FnMut(&Progress) -> Verdict,
) -> Result<(Tally, bool), Error> {
    let mut all = Tally::new();
    let mut warm = false;
    loop {
        match results.recv_timeout(Duration::from_millis(100)) {
            Ok(tally) => all.merge(tally?),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let elapsed = shared.began.elapsed();
        let measuring = shared.opens.get().is_some();
        let verdict = watch(&Progress {
            elapsed,
            answered: shared.answered.load(Relaxed),
            measuring,
        });
        if verdict == Verdict::Stop {
            shared.stop.store(true, Relaxed);
        } else if !measuring && elapsed >= load.warm_up {
            warm = verdict == Verdict::Warm;
            if warm || elapsed >= load.duration / 2 {
                shared.open();
            }
        }
    }
    let span = shared.span();
    let end = span.closes.min(Instant::now());
    let opened = span.opens.min(end);
    all.warm_up.seconds = (opened - shared.began).as_secs_f64();
    all.totals.seconds = (end - opened).as_secs_f64();
    Ok((all, warm))
}

/// No run is as long: a window that closes then is open until the run ends.
const FOREVER: Duration = Duration::from_secs(365 * 86_400);

/// What the clients and the watching thread know in common.
struct Shared {
    began: Instant,
    /// From here on, silence ends the run.
    drains: Instant,
    closes: Instant,
    opens: OnceLock<Instant>,
    stop: AtomicBool,
    answered: AtomicU64,
    patience: Duration,
}

impl Shared {
    fn begin(load: &Load<'_>) -> Shared {
        let began = Instant::now();
        let (opens, drains, closes) = match load.once {
            true => (OnceLock::from(began), began, began + FOREVER),
            false => {
                let closes = began + load.duration;
                (OnceLock::new(), closes, closes)
            }
        };
        Shared {
            began,
            drains,
            closes,
            opens,
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            patience: load.patience,
        }
    }

    /// Opens the window in a millisecond, so that no client meets it before it can know of it. Once.
    fn open(&self) {
        self.opens
            .get_or_init(|| (Instant::now() + Duration::from_millis(1)).min(self.closes));
    }

    /// The window; until it opens, one that contains nothing.
    fn span(&self) -> Span {
        Span {
            opens: *self.opens.get().unwrap_or(&self.closes),
            closes: self.closes,
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }
}

struct StopOnDrop<'a>(&'a Shared);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Relaxed);
    }
}
