//! One client of a load, on its own thread.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use model::{DataType, Output};
use transport::Frame;
use wire::query::{Answer, Connected, Input, Request, Status, encode_connect};

use super::{Load, Shared};
use crate::{
    Error,
    stats::{Sent, Tally},
};

/// One client: two sockets, the queries it has in flight, and its counts.
pub(super) struct Client {
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
    pub(super) fn connect(
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

    pub(super) fn run(mut self, shared: &Shared) -> Result<Tally, Error> {
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
            input: Input::Frame(&self.inputs[id as usize % self.inputs.len()]),
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
