//! The native protocol over ZeroMQ: two sockets, and a timer for sends that are due within a millisecond.
//!
//! ZeroMQ mends a broken connection unseen, but a frontend that was started anew does not know the client. A client
//! that is to outlive the frontend therefore watches its sockets: when either connection breaks, it connects with new
//! ones.

use std::{
    collections::VecDeque,
    fmt::Display,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
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

/// How long a client waits for the frontend's reply when it connects.
const PATIENCE: Duration = Duration::from_secs(10);

/// A frontend that was killed before it replied is asked again after this.
const AGAIN: Duration = Duration::from_secs(5);

/// Watchers of closed sockets that are kept: libzmq may still tell them something, and would wait for ever if they were
/// gone.
const RETIRED: usize = 32;

/// A client over ZeroMQ.
pub struct NativeClient {
    context: zmq::Context,
    answers_at: String,
    requests_at: String,
    app: String,
    input_type: DataType,
    link: Link,
    is_watched: bool,
    /// A watcher has told of the end of a connection; what came before is still to be received.
    is_broken: bool,
    retired: VecDeque<zmq::Socket>,
    timer: Timer,
    message: Vec<Frame>,
}

/// The sockets, and what the frontend has replied to their connecting.
struct Link {
    answers: zmq::Socket,
    requests: zmq::Socket,
    /// A socket for each of the two that becomes readable when its connection breaks; none where nobody watches.
    watchers: Vec<zmq::Socket>,
    opened: Instant,
    connected: Option<Connected>,
}

impl NativeClient {
    /// Connects, and waits for the frontend's reply. A connection that breaks is not noticed.
    ///
    /// # Errors
    /// `NoAnswer` if there is no reply within ten seconds, `Dialect` if it is of something else than a frontend of this
    /// version.
    pub fn connect(context: &zmq::Context, target: &Target<'_>) -> Result<NativeClient, Error> {
        let mut client = NativeClient::new(context, target, false)?;
        while !client.is_connected() {
            if client.take_reply()? {
                break;
            }
            if client.link.opened.elapsed() > PATIENCE {
                return Err(Error::NoAnswer {
                    endpoint: client.answers_at,
                    seconds: PATIENCE.as_secs(),
                });
            }
            poll(&mut [client.link.answers.as_poll_item(zmq::POLLIN)])?;
        }
        Ok(client)
    }

    /// Begins to connect, and connects anew whenever a connection breaks. It is not connected yet.
    ///
    /// # Errors
    /// If the sockets cannot be made.
    pub fn open(context: &zmq::Context, target: &Target<'_>) -> Result<NativeClient, Error> {
        NativeClient::new(context, target, true)
    }

    fn new(
        context: &zmq::Context,
        target: &Target<'_>,
        is_watched: bool,
    ) -> Result<NativeClient, Error> {
        Ok(NativeClient {
            link: Link::open(context, &target.answers, &target.requests, is_watched)?,
            context: context.clone(),
            answers_at: target.answers.clone(),
            requests_at: target.requests.clone(),
            app: target.app.to_owned(),
            input_type: target.input_type,
            is_watched,
            is_broken: false,
            retired: VecDeque::new(),
            timer: Timer::new().map_err(|error| broken(&error))?,
            message: Vec::new(),
        })
    }

    /// Connects with new sockets.
    fn reopen(&mut self) -> Result<(), Error> {
        let (answers, requests) = (&self.answers_at, &self.requests_at);
        let link = Link::open(&self.context, answers, requests, self.is_watched)?;
        let old = std::mem::replace(&mut self.link, link);
        self.retired.extend(old.watchers);
        let surplus = self.retired.len().saturating_sub(RETIRED);
        self.retired.drain(..surplus);
        self.is_broken = false;
        Ok(())
    }

    /// Takes the reply to the connecting, if it has come.
    fn take_reply(&mut self) -> Result<bool, Error> {
        let came = transport::recv(&mut self.link.answers, &mut self.message);
        if !came.map_err(|error| broken(&error))? {
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
        Request {
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
        sent.map_err(|error| broken(&error))
    }

    fn receive(&mut self) -> Result<Option<Answer<'_>>, Error> {
        if self.link.connected.is_none() && !self.take_reply()? {
            if self.is_broken || self.link.opened.elapsed() > AGAIN {
                self.reopen()?;
            }
            return Ok(None);
        }
        let came = transport::recv(&mut self.link.answers, &mut self.message);
        if !came.map_err(|error| broken(&error))? {
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

    /// `zmq_poll` counts whole milliseconds, so the kernel keeps the time.
    fn wait(&mut self, limit: Option<Duration>) -> Result<(), Error> {
        let delay = limit.unwrap_or(LOOK);
        if delay < NAP {
            return Ok(());
        }
        if delay < LOOK {
            let set = self.timer.set(Some(delay));
            set.map_err(|error| broken(&error))?;
        }
        let answers = self.link.answers.as_poll_item(zmq::POLLIN);
        let timer = zmq::PollItem::from_fd(self.timer.fd(), zmq::POLLIN);
        match &self.link.watchers[..] {
            [] if delay < LOOK => poll(&mut [answers, timer]),
            [] => poll(&mut [answers]),
            watchers => {
                let watched = watchers.iter().map(|w| w.as_poll_item(zmq::POLLIN));
                let mut items: Vec<_> = [answers].into_iter().chain(watched).collect();
                if delay < LOOK {
                    items.push(timer);
                }
                poll(&mut items)?;
                let mut watchers = items[1..].iter().take(watchers.len());
                self.is_broken |= watchers.any(zmq::PollItem::is_readable);
                Ok(())
            }
        }
    }
}

impl Link {
    /// Opens the sockets and begins to connect.
    fn open(
        context: &zmq::Context,
        answers_at: &str,
        requests_at: &str,
        is_watched: bool,
    ) -> Result<Link, Error> {
        let open = || {
            let mut watchers = Vec::new();
            let mut dealer = |endpoint: &str| -> zmq::Result<zmq::Socket> {
                let socket = context.socket(zmq::DEALER)?;
                // Nothing may block or be dropped here; what is in flight is bounded by the pace, or by memory.
                socket.set_sndhwm(0)?;
                socket.set_rcvhwm(0)?;
                socket.set_linger(0)?;
                if is_watched {
                    watchers.push(watcher(context, &socket)?);
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
                watchers,
                opened: Instant::now(),
                connected: None,
            })
        };
        open().map_err(|error: zmq::Error| broken(&error))
    }
}

/// A socket that becomes readable when the connection of the other one breaks.
fn watcher(context: &zmq::Context, socket: &zmq::Socket) -> zmq::Result<zmq::Socket> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let endpoint = format!("inproc://watch-{}", NUMBER.fetch_add(1, Relaxed));
    let disconnected = zmq::SocketEvent::DISCONNECTED.to_raw();
    socket.monitor(&endpoint, i32::from(disconnected))?;
    let watcher = context.socket(zmq::PAIR)?;
    watcher.connect(&endpoint)?;
    Ok(watcher)
}

/// Until one of them has something, for [`LOOK`] at most.
fn poll(items: &mut [zmq::PollItem<'_>]) -> Result<(), Error> {
    match zmq::poll(items, LOOK.as_millis() as i64) {
        Ok(_) | Err(zmq::Error::EINTR) => Ok(()),
        Err(error) => Err(broken(&error)),
    }
}

fn broken(error: &dyn Display) -> Error {
    Error::Socket(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::null_server::NullServer;
    use wire::query::Status;

    #[test]
    fn a_watched_client_notices_when_the_frontend_goes() {
        let server = NullServer::start(Box::new(|_| Some(Status::Ok))).unwrap();
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
        let gone = loop {
            match client.receive() {
                Ok(answer) => assert!(answer.is_none()),
                Err(error) => break error,
            }
            client.wait(None).unwrap();
        };
        assert!(matches!(gone, Error::Disconnected), "{gone}");
        assert!(!client.is_connected());
    }
}
