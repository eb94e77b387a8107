//! ZeroMQ clients: who they are, and their answers.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, Instant},
};

use model::DataType;
use transport::{Frame, send};
use wire::query::{Answer, Connected, Dialect, Status, Timing, decode_connect};

/// What comes with a query: its input, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) client: u32,
    pub(crate) request: u32,
    pub(crate) input: Frame,
}

/// How a query ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) status: Status,
    pub(crate) reason: &'a str,
    pub(crate) output_type: DataType,
    pub(crate) output: &'a [u8],
    pub(crate) timing: Timing,
}

impl<'a> Outcome<'a> {
    /// A query that no model answered: it gets the default output, which is text.
    pub(crate) fn without_output(status: Status, reason: &'a str, default: &'a [u8]) -> Self {
        Outcome {
            status,
            reason,
            output_type: DataType::Strings,
            output: default,
            timing: Timing::default(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Clients {
    session: u64,
    next_id: u32,
    clients: HashMap<u32, Client>,
    out: Vec<Frame>,
    complaints: Complaints,
}

#[derive(Debug)]
struct Client {
    identity: Frame,
    dialect: Dialect,
}

impl Clients {
    pub(crate) fn new(session: u64) -> Clients {
        Clients {
            session,
            next_id: rand::random(),
            clients: HashMap::new(),
            out: Vec::new(),
            complaints: Complaints::default(),
        }
    }

    /// A client wants an id. `message` starts with its routing identity.
    pub(crate) fn on_connect(&mut self, socket: &mut zmq::Socket, message: &mut [Frame]) {
        let [identity, frames @ ..] = message else {
            return;
        };
        let dialect = match decode_connect(frames) {
            Ok(dialect) => dialect,
            Err(error) => return self.complain(&error),
        };
        let connected = Connected {
            session: self.session,
            client_id: self.next_id,
        };
        self.next_id = self.next_id.wrapping_add(1);
        self.out.push(identity.clone());
        connected.encode(dialect, &mut self.out);
        if send(socket, &mut self.out).is_ok() {
            let identity = identity.keep();
            let client = Client { identity, dialect };
            self.clients.insert(connected.client_id, client);
        }
    }

    /// Sends the answer. A client that is gone, or does not read, loses it: nobody else waits for it.
    pub(crate) fn answer(
        &mut self,
        socket: &mut zmq::Socket,
        pending: &Pending,
        outcome: &Outcome<'_>,
    ) {
        let Some(client) = self.clients.get(&pending.client) else {
            return self.complain(&"an answer to a client that is gone");
        };
        let answer = Answer {
            session: self.session,
            request_id: pending.request,
            status: outcome.status,
            reason: outcome.reason,
            output_type: outcome.output_type,
            output: outcome.output,
            timing: outcome.timing,
        };
        self.out.push(client.identity.clone());
        answer.encode(client.dialect, &mut self.out);
        if let Err(error) = send(socket, &mut self.out) {
            if error == zmq::Error::EHOSTUNREACH {
                self.clients.remove(&pending.client);
            }
            self.complain(&"an answer to a client that is gone or does not read");
        }
    }

    /// There is no application, so no default output: Clipper's clients get nothing, as from Clipper.
    pub(crate) fn refuse_unknown_app(
        &mut self,
        socket: &mut zmq::Socket,
        pending: &Pending,
        reason: &str,
    ) {
        let native = |client: &Client| client.dialect == Dialect::Native;
        if self.clients.get(&pending.client).is_some_and(native) {
            let outcome = Outcome::without_output(Status::Refused, reason, &[]);
            self.answer(socket, pending, &outcome);
        } else {
            self.complain(&reason);
        }
    }

    /// Logs what was dropped, at most once a second.
    pub(crate) fn complain(&mut self, what: &dyn fmt::Display) {
        self.complaints.add(what);
    }
}

/// Keeps a client that sends nonsense from filling the log.
#[derive(Debug, Default)]
struct Complaints {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaints {
    fn add(&mut self, what: &dyn fmt::Display) {
        let soon = |last: Instant| last.elapsed() < Duration::from_secs(1);
        if self.last.is_some_and(soon) {
            self.unsaid += 1;
            return;
        }
        let unsaid = std::mem::take(&mut self.unsaid);
        self.last = Some(Instant::now());
        tracing::warn!("dropped: {what} ({unsaid} more before)");
    }
}
