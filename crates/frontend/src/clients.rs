//! Clients: who they are, and their answers.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, SystemTime},
};

use scheduler::{QueryKey, Refusal};
use transport::Frame;
use wire::Frame as _;
use wire::query::{Answer, Connected, Dialect, Lineage, decode_connect};

use crate::{
    container_sockets::RouterSocket,
    drop_log::DropLog,
    query_result::{QueryResult, QueryStatus},
    replies::{Replies, Reply},
};

/// What comes with a query: where the answer goes, and its input.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) origin: Origin,
    pub(crate) input: Frame,
}

/// Who asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// A ZeroMQ client.
    Zmq { client: u32, request: u32 },
    /// A request over HTTP, by its ticket.
    Http(u64),
}

/// ZeroMQ clients that are remembered, some 150 bytes each.
const MOST_CLIENTS: u32 = 1 << 18;

#[derive(Debug)]
pub(crate) struct Clients {
    session: u64,
    /// Of clients that do not say theirs.
    dialect: Dialect,
    /// What time it was when the engine's clock started, since the Unix epoch. Later corrections are not followed.
    started: Duration,
    next_id: u32,
    clients: HashMap<u32, Client>,
    out: Vec<Frame>,
    http: Replies,
    /// Replies for the HTTP threads, handed over together.
    replies: Vec<Reply>,
    /// The queries over HTTP that are under way, by their tickets.
    asked: HashMap<u64, QueryKey>,
    /// ZeroMQ clients of whom an answer has just found that they are gone.
    lost: bool,
    drop_log: DropLog,
}

#[derive(Debug)]
struct Client {
    identity: Frame,
    dialect: Dialect,
}

impl Clients {
    /// Call it when the engine's clock starts. Clients that do not say what they speak, speak `dialect`.
    pub(crate) fn new(session: u64, dialect: Dialect, http: Replies, drop_log: DropLog) -> Clients {
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Clients {
            session,
            dialect,
            started: started.unwrap_or_default(),
            next_id: rand::random(),
            clients: HashMap::new(),
            out: Vec::new(),
            http,
            replies: Vec::new(),
            asked: HashMap::new(),
            lost: false,
            drop_log,
        }
    }

    /// What time it was when the engine's clock started, since the Unix epoch.
    pub(crate) fn started(&self) -> Duration {
        self.started
    }

    /// A client wants an id. `message` starts with its routing identity.
    pub(crate) fn on_connect(&mut self, socket: &mut RouterSocket, message: &mut [Frame]) {
        let [identity, frames @ ..] = message else {
            return;
        };
        let dialect = match decode_connect(frames) {
            Ok(asked) => asked.unwrap_or(self.dialect),
            Err(error) => return self.complain(identity, &error),
        };
        let connected = Connected {
            session: self.session,
            client_id: self.next_id,
        };
        self.next_id = self.next_id.wrapping_add(1);
        self.out.push(identity.clone());
        connected.encode(dialect, &mut self.out);
        if socket.send(&mut self.out).is_ok() {
            let identity = identity.keep();
            let client = Client { identity, dialect };
            self.clients.insert(connected.client_id, client);
            // Who has its answers and goes is never heard of again: the oldest makes room.
            let oldest = connected.client_id.wrapping_sub(MOST_CLIENTS);
            self.clients.remove(&oldest);
        }
    }

    /// Answers a query. A client that is gone, or does not read, loses its answer: nobody else waits for it.
    pub(crate) fn answer(
        &mut self,
        socket: &mut RouterSocket,
        pending: &Pending,
        result: &QueryResult<'_>,
    ) {
        let (client, request) = match pending.origin {
            Origin::Zmq { client, request } => (client, request),
            Origin::Http(ticket) => {
                self.asked.remove(&ticket);
                let result = result.to_static();
                self.replies.push(Reply { ticket, result });
                return;
            }
        };
        let Some(known) = self.clients.get(&client) else {
            return self
                .drop_log
                .add(&"us", &"an answer to a client that is gone");
        };
        let unanswerable = matches!(result.status, QueryStatus::Refused(Refusal::UnknownApp));
        if unanswerable && known.dialect != Dialect::Native {
            // There is no application, so no default output: Clipper's clients get nothing, as from Clipper.
            return self.drop_log.add(&"us", &result.status.reason());
        }
        let reason = result.status.reason();
        let answer = Answer {
            session: self.session,
            request_id: request,
            status: result.status.code(),
            reason: &reason,
            output_type: result.output_type,
            output: &result.output,
            timing: result.timeline.timing(),
            lineage: match known.dialect {
                Dialect::HighPerf => result.timeline.lineage(self.started),
                Dialect::V2017 | Dialect::Native => Lineage::default(),
            },
        };
        self.out.push(known.identity.clone());
        answer.encode(known.dialect, &mut self.out);
        if let Err(error) = socket.send(&mut self.out) {
            if error == zmq::Error::EHOSTUNREACH {
                self.clients.remove(&client);
                self.lost = true;
            }
            let what = "an answer to a client that is gone or does not read";
            self.drop_log.add(&"us", &what);
        }
    }

    /// Hands the answers to queries over HTTP over: one wake-up for all of them.
    pub(crate) fn flush(&mut self) {
        if !self.replies.is_empty() {
            self.http.hand_over(std::mem::take(&mut self.replies));
        }
    }

    /// Whether this ZeroMQ client has connected, and is not known to be gone.
    pub(crate) fn knows(&self, client: u32) -> bool {
        self.clients.contains_key(&client)
    }

    /// Whether a client was lost since this was last asked.
    pub(crate) fn has_lost(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    /// Whether anybody waits for the answer.
    pub(crate) fn waits(&self, pending: &Pending) -> bool {
        match pending.origin {
            Origin::Zmq { client, .. } => self.knows(client),
            // Who leaves says so.
            Origin::Http(_) => true,
        }
    }

    /// A query that came over HTTP is under way.
    pub(crate) fn on_asked(&mut self, ticket: u64, query: QueryKey) {
        self.asked.insert(ticket, query);
    }

    /// Whoever asked with this ticket is gone; answers the query, if that is still under way.
    pub(crate) fn on_gone(&mut self, ticket: u64) -> Option<QueryKey> {
        self.asked.remove(&ticket)
    }

    /// How much was dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.drop_log.total()
    }

    /// Counts and logs what was dropped of the client or model server that sent this frame.
    pub(crate) fn complain(&self, of: &Frame, what: &dyn fmt::Display) {
        let peer = of.peer_address().unwrap_or("a peer");
        self.drop_log.add(&peer, what);
    }
}
