//! Client for the native protocol over ZeroMQ: two sockets, and a timer for sends that are due
//! within a millisecond.
//!
//! ZeroMQ restores a broken connection silently, but a restarted frontend does not know the
//! client's id. A client that must survive a restart therefore monitors its sockets: when either
//! connection breaks, it connects with new ones.

use std::{
    collections::VecDeque,
    fmt::Display,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use model::DataType;
use transport::{Frame, Timer};
use wire::query::{Answer, Connected, Input, QueryRequest, encode_connect};

use crate::{
    client::{Client, MAX_WAIT},
    error::Error,
    load::Target,
};

/// Shortest sleep: a shorter one takes longer than its time.
const MIN_SLEEP: Duration = Duration::from_micros(10);

/// Time that a client waits for the frontend's reply when it connects.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time after which a client connects again: the frontend may have been killed before it replied.
const RECONNECT_AFTER: Duration = Duration::from_secs(5);

/// Number of monitors of closed sockets that are kept: libzmq may still send them an event, and
/// would block for ever if they were closed.
const MAX_RETIRED: usize = 32;

/// Client over ZeroMQ.
pub struct NativeClient {
    context: zmq::Context,
    answers_at: String,
    requests_at: String,
    app: String,
    input_type: DataType,
    link: Link,
    is_monitored: bool,
    /// True once a monitor has reported a broken connection; earlier answers can still be received.
    is_broken: bool,
    retired: VecDeque<zmq::Socket>,
    timer: Timer,
    message: Vec<Frame>,
}

/// Sockets of one connection, and the frontend's reply to it.
struct Link {
    answers: zmq::Socket,
    requests: zmq::Socket,
    /// One socket for each of the two, readable when its connection breaks; empty without
    /// monitoring.
    monitors: Vec<zmq::Socket>,
    opened: Instant,
    connected: Option<Connected>,
}

impl NativeClient {
    /// Connects, and waits for the frontend's reply. A broken connection is not detected.
    ///
    /// # Errors
    /// `NoAnswer` if there is no reply within ten seconds, `Dialect` if it is not the reply of a
    /// frontend of this version.
    pub fn connect(context: &zmq::Context, target: &Target<'_>) -> Result<NativeClient, Error> {
        let mut client = NativeClient::new(context, target, false)?;
        while !client.is_connected() {
            if client.take_reply()? {
                break;
            }
            if client.link.opened.elapsed() > CONNECT_TIMEOUT {
                return Err(Error::NoAnswer {
                    endpoint: client.answers_at,
                    seconds: CONNECT_TIMEOUT.as_secs(),
                });
            }
            poll(&mut [client.link.answers.as_poll_item(zmq::POLLIN)])?;
        }
        Ok(client)
    }

    /// Starts to connect without waiting for the reply, and connects again whenever a connection
    /// breaks.
    ///
    /// # Errors
    /// If the sockets cannot be created.
    pub fn open(context: &zmq::Context, target: &Target<'_>) -> Result<NativeClient, Error> {
        NativeClient::new(context, target, true)
    }

    fn new(
        context: &zmq::Context,
        target: &Target<'_>,
        is_monitored: bool,
    ) -> Result<NativeClient, Error> {
        Ok(NativeClient {
            link: Link::open(context, &target.answers, &target.requests, is_monitored)?,
            context: context.clone(),
            answers_at: target.answers.clone(),
            requests_at: target.requests.clone(),
            app: target.app.to_owned(),
            input_type: target.input_type,
            is_monitored,
            is_broken: false,
            retired: VecDeque::new(),
            timer: Timer::new().map_err(|error| socket_error(&error))?,
            message: Vec::new(),
        })
    }

    /// Connects with new sockets.
    fn reopen(&mut self) -> Result<(), Error> {
        let (answers, requests) = (&self.answers_at, &self.requests_at);
        let link = Link::open(&self.context, answers, requests, self.is_monitored)?;
        let old = std::mem::replace(&mut self.link, link);
        self.retired.extend(old.monitors);
        let surplus = self.retired.len().saturating_sub(MAX_RETIRED);
        self.retired.drain(..surplus);
        self.is_broken = false;
        Ok(())
    }

    /// Receives the reply to the connect message. Returns false if it has not arrived.
    fn take_reply(&mut self) -> Result<bool, Error> {
        let received = transport::recv(&mut self.link.answers, &mut self.message);
        if !received.map_err(|error| socket_error(&error))? {
            return Ok(false);
        }
        let connected = Connected::decode(&self.message).map_err(|error| Error::Dialect {
            endpoint: self.answers_at.clone(),
            why: error.to_string(),
        })?;
        self.link.connected = Some(connected);
        Ok(true)
    }
}

impl Client for NativeClient {
    fn is_connected(&self) -> bool {
        self.link.connected.is_some()
    }

    fn send(&mut self, id: u32, input: &Frame) -> Result<(), Error> {
        let Some(connected) = &self.link.connected else {
            return Err(Error::Unreachable);
        };
        self.message.clear();
        QueryRequest {
            session: Some(connected.session),
            client_id: connected.client_id,
            request_id: id,
            app: &self.app,
            input_type: self.input_type,
            deadline: None,
            input: Input::Frame(input),
        }
        .encode(&mut self.message);
        let sent = transport::send(&mut self.link.requests, &mut self.message);
        sent.map_err(|error| socket_error(&error))
    }

    fn receive(&mut self) -> Result<Option<Answer<'_>>, Error> {
        if self.link.connected.is_none() && !self.take_reply()? {
            if self.is_broken || self.link.opened.elapsed() > RECONNECT_AFTER {
                self.reopen()?;
            }
            return Ok(None);
        }
        let received = transport::recv(&mut self.link.answers, &mut self.message);
        if !received.map_err(|error| socket_error(&error))? {
            if self.is_broken {
                self.reopen()?;
                return Err(Error::Disconnected);
            }
            return Ok(None);
        }
        let answer = Answer::decode(&self.message);
        answer
            .map(Some)
            .map_err(|error| Error::Unreadable(error.to_string()))
    }

    /// Waits on a kernel timer, because `zmq_poll` counts whole milliseconds.
    fn wait(&mut self, limit: Option<Duration>) -> Result<(), Error> {
        let delay = limit.unwrap_or(MAX_WAIT);
        if delay < MIN_SLEEP {
            return Ok(());
        }
        if delay < MAX_WAIT {
            let set = self.timer.set(Some(delay));
            set.map_err(|error| socket_error(&error))?;
        }
        let answers = self.link.answers.as_poll_item(zmq::POLLIN);
        let timer = zmq::PollItem::from_fd(self.timer.fd(), zmq::POLLIN);
        match &self.link.monitors[..] {
            [] if delay < MAX_WAIT => poll(&mut [answers, timer]),
            [] => poll(&mut [answers]),
            monitors => {
                let monitored = monitors.iter().map(|m| m.as_poll_item(zmq::POLLIN));
                let mut items: Vec<_> = [answers].into_iter().chain(monitored).collect();
                if delay < MAX_WAIT {
                    items.push(timer);
                }
                poll(&mut items)?;
                let mut monitors = items[1..].iter().take(monitors.len());
                self.is_broken |= monitors.any(zmq::PollItem::is_readable);
                Ok(())
            }
        }
    }
}

impl Link {
    /// Opens the sockets and sends the connect message.
    fn open(
        context: &zmq::Context,
        answers_at: &str,
        requests_at: &str,
        is_monitored: bool,
    ) -> Result<Link, Error> {
        let open = || {
            let mut monitors = Vec::new();
            let mut dealer = |endpoint: &str| -> zmq::Result<zmq::Socket> {
                let socket = context.socket(zmq::DEALER)?;
                // No limits: nothing may block or be dropped. The pace or memory bounds the queries
                // in flight.
                socket.set_sndhwm(0)?;
                socket.set_rcvhwm(0)?;
                socket.set_linger(0)?;
                if is_monitored {
                    monitors.push(disconnect_monitor(context, &socket)?);
                }
                socket.connect(endpoint)?;
                Ok(socket)
            };
            let mut answers = dealer(answers_at)?;
            let requests = dealer(requests_at)?;
            let mut message = Vec::new();
            encode_connect(&mut message);
            transport::send(&mut answers, &mut message)?;
            Ok(Link {
                answers,
                requests,
                monitors,
                opened: Instant::now(),
                connected: None,
            })
        };
        open().map_err(|error: zmq::Error| socket_error(&error))
    }
}

/// Returns a socket that becomes readable when the connection of `socket` breaks.
fn disconnect_monitor(context: &zmq::Context, socket: &zmq::Socket) -> zmq::Result<zmq::Socket> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let endpoint = format!("inproc://watch-{}", NUMBER.fetch_add(1, Relaxed));
    let disconnected = zmq::SocketEvent::DISCONNECTED.to_raw();
    socket.monitor(&endpoint, i32::from(disconnected))?;
    let monitor = context.socket(zmq::PAIR)?;
    monitor.connect(&endpoint)?;
    Ok(monitor)
}

/// Waits until one of the items is readable, for [`MAX_WAIT`] at most.
fn poll(items: &mut [zmq::PollItem<'_>]) -> Result<(), Error> {
    match zmq::poll(items, MAX_WAIT.as_millis() as i64) {
        Ok(_) | Err(zmq::Error::EINTR) => Ok(()),
        Err(error) => Err(socket_error(&error)),
    }
}

fn socket_error(error: &dyn Display) -> Error {
    Error::Socket(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::null_server::NullServer;
    use wire::query::AnswerStatus;

    #[test]
    fn monitored_client_detects_a_stopped_frontend() {
        let server = NullServer::start(Box::new(|_| Some(AnswerStatus::Ok))).unwrap();
        let context = zmq::Context::new();
        let target = server.target("app", DataType::Bytes);
        let mut client = NativeClient::open(&context, &target).unwrap();
        let input = Frame::from(vec![1; 8]);
        let early = client.send(0, &input);
        assert!(matches!(early, Err(Error::Unreachable)), "{early:?}");
        while !client.is_connected() {
            assert!(client.receive().unwrap().is_none());
            client.wait(None).unwrap();
        }
        client.send(7, &input).unwrap();
        let answered = loop {
            if let Some(answer) = client.receive().unwrap() {
                break answer.request_id;
            }
            client.wait(None).unwrap();
        };
        assert_eq!(answered, 7);
        server.stop().unwrap();
        let error = loop {
            match client.receive() {
                Ok(answer) => assert!(answer.is_none()),
                Err(error) => break error,
            }
            client.wait(None).unwrap();
        };
        assert!(matches!(error, Error::Disconnected), "{error}");
        assert!(!client.is_connected());
    }
}
