//! One client of a load, on its own thread: two sockets, a timer, and a [`Flow`] that says what to do with them.

use std::{
    fmt::Display,
    sync::mpsc::Sender,
    time::{Duration, Instant},
};

use model::{DataType, Output};
use transport::{Frame, Timer};
use wire::query::{Answer, Connected, Input, Request, Status, encode_connect};

use super::{
    Load, Told,
    flow::{Flow, Next},
    pacer::Pacer,
    shared::{Counters, Shared},
};
use crate::{
    Error,
    stats::{Span, Tally},
};

/// So many sends in a row, then it looks for an answer: their times must not suffer from a client that is behind.
const SENDS: usize = 64;

/// A client looks at what it shares with the others so often at least.
const LOOK: Duration = Duration::from_millis(20);

/// To sleep for less takes longer than that.
const NAP: Duration = Duration::from_micros(10);

/// A client that is connected.
pub(super) struct Client {
    index: usize,
    answers: zmq::Socket,
    requests: zmq::Socket,
    timer: Timer,
    connected: Connected,
    app: String,
    input_type: DataType,
    /// All inputs, its first one first.
    inputs: Vec<Frame>,
    /// The number of its first input among all.
    first: usize,
    message: Vec<Frame>,
}

impl Client {
    pub(super) fn connect(
        context: &zmq::Context,
        load: &Load<'_>,
        inputs: &[Frame],
        index: usize,
    ) -> Result<Client, Error> {
        let target = &load.target;
        let mut answers = dealer(context, &target.answers)?;
        let connected = handshake(&mut answers, &target.answers)?;
        let mut inputs = inputs.to_vec();
        // Each client begins elsewhere, so that a batch of several clients' queries is no repetition.
        let first = index * inputs.len() / load.clients();
        inputs.rotate_left(first);
        Ok(Client {
            index,
            answers,
            requests: dealer(context, &target.requests)?,
            timer: Timer::new().map_err(|error| broken(&error))?,
            connected,
            app: target.app.to_owned(),
            input_type: target.input_type,
            inputs,
            first,
            message: Vec::new(),
        })
    }

    /// Sends and receives until the flow ends, or all are stopped. Slices that are over go to `told` at once.
    pub(super) fn run(
        mut self,
        load: &Load<'_>,
        shared: &Shared,
        told: &Sender<Told>,
    ) -> Result<Tally, Error> {
        let pacer = Pacer::new(&load.pace, self.index, load.clients(), self.inputs.len());
        let tally = Tally::new(load.objective);
        let mut flow = Flow::new(shared.began, pacer, load.patience, tally);
        let counters = &shared.counters[self.index];
        let mut now = Instant::now();
        'load: while !shared.stopped() {
            let span = shared.span();
            let mut wake = Some(now);
            for _ in 0..SENDS {
                match flow.next(now, &span) {
                    Next::Send(id) => self.send(id, counters)?,
                    Next::Wait(until) => {
                        wake = until;
                        break;
                    }
                    Next::End => break 'load,
                }
                now = Instant::now();
            }
            if let Some(finished) = flow.finished(now, &span) {
                // Nobody listens any more once another client has failed.
                let _ = told.send(Told::Finished(self.index, finished));
            }
            if transport::recv(&mut self.answers, &mut self.message).map_err(|e| broken(&e))? {
                now = Instant::now();
                self.receive(&mut flow, now, &span, counters)?;
            } else {
                self.wait(now, wake)?;
                now = Instant::now();
            }
        }
        Ok(flow.end(now, &shared.span(), shared.stopped()))
    }

    fn send(&mut self, id: u32, counters: &Counters) -> Result<(), Error> {
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
        counters.sent();
        transport::send(&mut self.requests, &mut self.message).map_err(|error| broken(&error))
    }

    /// Counts the answer that has just come.
    fn receive(
        &mut self,
        flow: &mut Flow,
        now: Instant,
        span: &Span,
        counters: &Counters,
    ) -> Result<(), Error> {
        let answer = Answer::decode(&self.message).map_err(|error| unreadable(&error))?;
        if !flow.answered(now, span, &answer) {
            return Ok(());
        }
        counters.answered(&answer);
        if answer.status == Status::Ok && flow.is_once() {
            let output = Output::read(answer.output_type, answer.output);
            let output = output.map_err(|error| unreadable(&error))?;
            flow.keep(self.first + answer.request_id as usize, output);
        }
        Ok(())
    }

    /// Until there is an answer, or it is time to `wake`. `zmq_poll` counts whole milliseconds, so the kernel keeps that
    /// time.
    fn wait(&self, now: Instant, wake: Option<Instant>) -> Result<(), Error> {
        match wake.map(|at| at.saturating_duration_since(now)) {
            Some(delay) if delay < NAP => Ok(()),
            Some(delay) if delay < LOOK => {
                self.timer
                    .set(Some(delay))
                    .map_err(|error| broken(&error))?;
                let timer = zmq::PollItem::from_fd(self.timer.fd(), zmq::POLLIN);
                poll(&mut [self.answers.as_poll_item(zmq::POLLIN), timer])
            }
            _ => poll(&mut [self.answers.as_poll_item(zmq::POLLIN)]),
        }
    }
}

/// Until one of them has something, for [`LOOK`] at most.
fn poll(items: &mut [zmq::PollItem<'_>]) -> Result<(), Error> {
    match zmq::poll(items, LOOK.as_millis() as i64) {
        Ok(_) | Err(zmq::Error::EINTR) => Ok(()),
        Err(error) => Err(broken(&error)),
    }
}

fn dealer(context: &zmq::Context, endpoint: &str) -> Result<zmq::Socket, Error> {
    let open = || {
        let socket = context.socket(zmq::DEALER)?;
        // Nothing may block or be dropped here; what is in flight is bounded by the pace, or by memory.
        socket.set_sndhwm(0)?;
        socket.set_rcvhwm(0)?;
        socket.set_linger(0)?;
        socket.connect(endpoint)?;
        Ok(socket)
    };
    open().map_err(|error: zmq::Error| broken(&error))
}

fn handshake(socket: &mut zmq::Socket, endpoint: &str) -> Result<Connected, Error> {
    const LIMIT: Duration = Duration::from_secs(10);
    let mut message = Vec::new();
    encode_connect(&mut message);
    transport::send(socket, &mut message).map_err(|error| broken(&error))?;
    let began = Instant::now();
    while !transport::recv(socket, &mut message).map_err(|error| broken(&error))? {
        if began.elapsed() > LIMIT {
            return Err(Error::Failed(format!(
                "no frontend answered at {endpoint} within {} s: see its log",
                LIMIT.as_secs()
            )));
        }
        poll(&mut [socket.as_poll_item(zmq::POLLIN)])?;
    }
    Connected::decode(&message).map_err(|error| {
        Error::Failed(format!(
            "what answers at {endpoint} does not speak the native dialect ({error}): build frontend and driver from \
             one commit"
        ))
    })
}

fn broken(error: &dyn Display) -> Error {
    Error::Failed(format!("a socket of the load generator failed: {error}"))
}

fn unreadable(error: &dyn Display) -> Error {
    Error::Failed(format!(
        "the frontend sent an answer that cannot be read ({error}): it is of another version than this driver; build both \
         from one commit"
    ))
}
