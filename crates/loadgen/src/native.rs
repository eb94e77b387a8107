//! The native protocol over ZeroMQ: two sockets, and a timer for sends that are due within a millisecond.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use model::DataType;
use transport::{Frame, Timer};
use wire::query::{Answer, Connected, Input, Request, encode_connect};

use crate::{
    client::{Client, LOOK},
    error::Error,
    load::Target,
};

/// To sleep for less takes longer than that.
const NAP: Duration = Duration::from_micros(10);

/// A client that is connected.
pub(crate) struct NativeClient {
    answers: zmq::Socket,
    requests: zmq::Socket,
    timer: Timer,
    connected: Connected,
    app: String,
    input_type: DataType,
    message: Vec<Frame>,
}

impl NativeClient {
    /// Connects, and waits for the frontend's reply.
    pub(crate) fn connect(
        context: &zmq::Context,
        target: &Target<'_>,
    ) -> Result<NativeClient, Error> {
        let mut answers = dealer(context, &target.answers)?;
        let connected = handshake(&mut answers, &target.answers)?;
        Ok(NativeClient {
            answers,
            requests: dealer(context, &target.requests)?,
            timer: Timer::new().map_err(|error| broken(&error))?,
            connected,
            app: target.app.to_owned(),
            input_type: target.input_type,
            message: Vec::new(),
        })
    }
}

impl Client for NativeClient {
    fn send(&mut self, id: u32, input: &Frame) -> Result<(), Error> {
        self.message.clear();
        Request {
            session: Some(self.connected.session),
            client_id: self.connected.client_id,
            request_id: id,
            app: &self.app,
            input_type: self.input_type,
            deadline: None,
            input: Input::Frame(input),
        }
        .encode(&mut self.message);
        transport::send(&mut self.requests, &mut self.message).map_err(|error| broken(&error))
    }

    fn receive(&mut self) -> Result<Option<Answer<'_>>, Error> {
        let came = transport::recv(&mut self.answers, &mut self.message);
        if !came.map_err(|error| broken(&error))? {
            return Ok(None);
        }
        let answer = Answer::decode(&self.message);
        answer
            .map(Some)
            .map_err(|error| Error::Unreadable(error.to_string()))
    }

    /// `zmq_poll` counts whole milliseconds, so the kernel keeps the time.
    fn wait(&mut self, limit: Option<Duration>) -> Result<(), Error> {
        match limit {
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
            return Err(Error::NoAnswer {
                endpoint: endpoint.to_owned(),
                seconds: LIMIT.as_secs(),
            });
        }
        poll(&mut [socket.as_poll_item(zmq::POLLIN)])?;
    }
    Connected::decode(&message).map_err(|error| Error::Dialect {
        endpoint: endpoint.to_owned(),
        why: error.to_string(),
    })
}

fn broken(error: &dyn Display) -> Error {
    Error::Socket(error.to_string())
}
