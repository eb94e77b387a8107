//! Client threads that keep a bounded number of queries in flight: a closed loop, for some time or over every input once.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use model::{DataType, Output};
use transport::Frame;
use wire::query::{Answer, Connected, Request, Status, encode_connect};

use crate::{
    Error,
    stats::{Sent, Span, Tally},
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
    let context = zmq::Context::new();
    let clients = (0..load.clients)
        .map(|index| Client::connect(&context, load, inputs, index))
        .collect::<Result<Vec<_>, _>>()?;
    let shared = Shared::begin(load);
    let (tally, warm) = thread::scope(|scope| {
        // Ends the clients even if `watch` panics: the scope waits for them.
        let _stop = StopOnDrop(&shared);
        let (done, results) = mpsc::channel();
        for client in clients {
            let (done, shared) = (done.clone(), &shared);
            scope.spawn(move || {
                // Nobody listens any more once another client has failed.
                let _ = done.send(client.run(shared));
            });
        }
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

/// One client: two sockets, the queries it has in flight, and its counts.
struct Client {
    answers: zmq::Socket,
    requests: zmq::Socket,
    connected: Connected,
    app: String,
    input_type: DataType,
    /// All inputs, or those of which it sends each once.
    inputs: Vec<Frame>,
    /// The number of its first input among all.
    first: usize,
    once: bool,
    share: usize,
    next_id: u32,
    message: Vec<Frame>,
    /// The queries in flight, by their ids.
    pending: HashMap<u32, Sent>,
    tally: Tally,
    slowest: Duration,
}

impl Client {
    fn connect(
        context: &zmq::Context,
        load: &Load<'_>,
        inputs: &[Frame],
        index: usize,
    ) -> Result<Client, Error> {
        let mut answers = dealer(context, &load.answers)?;
        let connected = handshake(&mut answers, &load.answers)?;
        let spare = usize::from(index < load.in_flight % load.clients);
        let mut inputs = inputs.to_vec();
        // Each client begins elsewhere, so that a batch of several clients' queries is no repetition.
        let first = index * inputs.len() / load.clients;
        let next = (index + 1) * inputs.len() / load.clients;
        inputs.rotate_left(first);
        if load.once {
            inputs.truncate(next - first);
        }
        Ok(Client {
            answers,
            requests: dealer(context, &load.requests)?,
            connected,
            app: load.app.to_owned(),
            input_type: load.input_type,
            inputs,
            first,
            once: load.once,
            share: load.in_flight / load.clients + spare,
            next_id: 0,
            message: Vec::new(),
            pending: HashMap::new(),
            tally: Tally::new(),
            slowest: Duration::ZERO,
        })
    }

    fn run(mut self, shared: &Shared) -> Result<Tally, Error> {
        let mut now = Instant::now();
        let mut last_answer = now;
        loop {
            while self.has_more(shared, now) && self.pending.len() < self.share {
                self.send(shared, now)?;
            }
            if shared.stopped() {
                break;
            }
            if transport::recv(&mut self.answers, &mut self.message).map_err(broken)? {
                now = Instant::now();
                last_answer = now;
                self.receive(shared, now)?;
                continue;
            }
            let patience = shared.patience.max(2 * self.slowest);
            let silent_since = last_answer.max(shared.drains);
            if now >= shared.drains
                && (self.pending.is_empty() || now - silent_since.min(now) > patience)
            {
                break;
            }
            wait(&self.answers)?;
            now = Instant::now();
        }
        Ok(self.settle(shared))
    }

    fn has_more(&self, shared: &Shared, now: Instant) -> bool {
        match self.once {
            true => (self.next_id as usize) < self.inputs.len(),
            false => now < shared.closes,
        }
    }

    fn send(&mut self, shared: &Shared, now: Instant) -> Result<(), Error> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.message.clear();
        Request {
            session: Some(self.connected.session),
            client_id: self.connected.client_id,
            request_id: id,
            app: &self.app,
            input_type: self.input_type,
            deadline: None,
            input: &self.inputs[id as usize % self.inputs.len()],
        }
        .encode(&mut self.message);
        self.pending
            .insert(id, self.tally.sent(&shared.span(), now));
        transport::send(&mut self.requests, &mut self.message).map_err(broken)
    }

    fn receive(&mut self, shared: &Shared, now: Instant) -> Result<(), Error> {
        let unreadable = |error: &dyn Display| {
            Error::Failed(format!(
                "the frontend sent an answer that cannot be read ({error}): it is of another version than this driver; \
                 build both from one commit"
            ))
        };
        let answer = Answer::decode(&self.message).map_err(|error| unreadable(&error))?;
        // An answer that nobody waits for is one that came twice.
        if let Some(sent) = self.pending.remove(&answer.request_id) {
            shared.answered.fetch_add(1, Relaxed);
            self.slowest = self.slowest.max(sent.until(now));
            self.tally.answered(&shared.span(), sent, now, &answer);
            if self.once && answer.status == Status::Ok {
                let output = Output::read(answer.output_type, answer.output);
                let output = output.map_err(|error| unreadable(&error))?;
                let input = self.first + answer.request_id as usize;
                self.tally.outputs.push((input, output));
            }
        }
        Ok(())
    }

    /// Counts what is left unanswered.
    fn settle(mut self, shared: &Shared) -> Tally {
        for sent in self.pending.into_values() {
            self.tally.unanswered(sent, shared.stopped());
        }
        self.tally
    }
}

fn dealer(context: &zmq::Context, endpoint: &str) -> Result<zmq::Socket, Error> {
    let open = || {
        let socket = context.socket(zmq::DEALER)?;
        // What is in flight is bounded above; nothing may block or be dropped here.
        socket.set_sndhwm(0)?;
        socket.set_rcvhwm(0)?;
        socket.set_linger(0)?;
        socket.connect(endpoint)?;
        Ok(socket)
    };
    open().map_err(broken)
}

fn handshake(socket: &mut zmq::Socket, endpoint: &str) -> Result<Connected, Error> {
    const LIMIT: Duration = Duration::from_secs(10);
    let mut message = Vec::new();
    encode_connect(&mut message);
    transport::send(socket, &mut message).map_err(broken)?;
    let began = Instant::now();
    while !transport::recv(socket, &mut message).map_err(broken)? {
        if began.elapsed() > LIMIT {
            return Err(Error::Failed(format!(
                "no frontend answered at {endpoint} within {} s: see its log",
                LIMIT.as_secs()
            )));
        }
        wait(socket)?;
    }
    Connected::decode(&message).map_err(|error| {
        Error::Failed(format!(
            "what answers at {endpoint} does not speak the native dialect ({error}): build frontend and driver from \
             one commit"
        ))
    })
}

/// Until there is something to receive, for 20 ms at most: then the caller looks at the time.
fn wait(socket: &zmq::Socket) -> Result<(), Error> {
    match socket.poll(zmq::POLLIN, 20) {
        Ok(_) | Err(zmq::Error::EINTR) => Ok(()),
        Err(error) => Err(broken(error)),
    }
}

fn broken(error: zmq::Error) -> Error {
    Error::Failed(format!("the driver's own ZeroMQ socket failed: {error}"))
}
