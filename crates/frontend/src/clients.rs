//! The clients: assigns ids to ZeroMQ clients, and sends the answers to all clients.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, Instant, SystemTime},
};

use scheduler::{QueryKey, Refusal};
use transport::Frame;
use wire::MessageFrame as _;
use wire::query::{Answer, Connected, Dialect, Lineage, decode_connect};

use crate::{
    container_sockets::RouterSocket,
    drop_log::DropLog,
    query_result::{QueryResult, QueryStatus},
    replies::{HttpReply, Replies},
};

/// The payload of a query in the scheduler: the destination of the answer, and the input.
#[derive(Debug)]
pub(crate) struct QueryPayload {
    pub(crate) origin: Origin,
    pub(crate) input: Frame,
}

/// The origin of a query, to which the answer is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// A ZeroMQ client, by its id, and its request id.
    Zmq { client: u32, request: u32 },
    /// A request over HTTP, by its ticket.
    Http(u64),
}

/// Maximum number of ZeroMQ clients in the table; each takes about 150 bytes.
const MAX_CLIENTS: u32 = 1 << 18;

#[derive(Debug)]
pub(crate) struct Clients {
    session: u64,
    /// Dialect of clients that do not state theirs.
    dialect: Dialect,
    /// Time at which the engine's clock started, since the Unix epoch. It does not follow later
    /// corrections of the system's clock.
    clock_start: Duration,
    next_id: u32,
    /// ZeroMQ clients by id.
    clients: HashMap<u32, ZmqClient>,
    /// Buffer for the message that is sent.
    out: Vec<Frame>,
    /// Channel to the HTTP threads.
    http: Replies,
    /// Replies to HTTP queries in this turn, sent together.
    replies: Vec<HttpReply>,
    /// HTTP queries in flight, by ticket.
    http_queries: HashMap<u64, QueryKey>,
    /// True if a ZeroMQ client turned out to be disconnected since [`Clients::take_client_lost`]
    /// was called.
    client_lost: bool,
    drop_log: DropLog,
}

#[derive(Debug)]
struct ZmqClient {
    identity: Frame,
    dialect: Dialect,
}

impl Clients {
    /// Creates an empty table; to be called when the engine's clock starts. `dialect` holds for
    /// clients that do not state theirs.
    pub(crate) fn new(session: u64, dialect: Dialect, http: Replies, drop_log: DropLog) -> Clients {
        let clock_start = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Clients {
            session,
            dialect,
            clock_start: clock_start.unwrap_or_default(),
            next_id: rand::random(),
            clients: HashMap::new(),
            out: Vec::new(),
            http,
            replies: Vec::new(),
            http_queries: HashMap::new(),
            client_lost: false,
            drop_log,
        }
    }

    /// Returns the time at which the engine's clock started, since the Unix epoch.
    pub(crate) fn clock_start(&self) -> Duration {
        self.clock_start
    }

    /// Assigns an id to a client that connects. `message` starts with the client's routing
    /// identity.
    pub(crate) fn on_connect(&mut self, socket: &mut RouterSocket, message: &mut [Frame]) {
        let [identity, frames @ ..] = message else {
            return;
        };
        let dialect = match decode_connect(frames) {
            Ok(stated) => stated.unwrap_or(self.dialect),
            Err(error) => return self.log_drop(identity, &error),
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
            let client = ZmqClient { identity, dialect };
            self.clients.insert(connected.client_id, client);
            // Clients never sign off, so the oldest one makes room.
            let oldest = connected.client_id.wrapping_sub(MAX_CLIENTS);
            self.clients.remove(&oldest);
        }
    }

    /// Sends the answer to a query. If the client is disconnected or does not read, the answer is
    /// dropped.
    pub(crate) fn answer(
        &mut self,
        socket: &mut RouterSocket,
        payload: &QueryPayload,
        result: &QueryResult<'_>,
    ) {
        let (client, request) = match payload.origin {
            Origin::Zmq { client, request } => (client, request),
            Origin::Http(ticket) => {
                self.http_queries.remove(&ticket);
                let result = result.to_static();
                self.replies.push(HttpReply {
                    ticket,
                    result,
                    replied: Instant::now(),
                });
                return;
            }
        };
        let Some(recipient) = self.clients.get(&client) else {
            return self
                .drop_log
                .add(&"the frontend", &"an answer to a disconnected client");
        };
        let unanswerable = matches!(result.status, QueryStatus::Refused(Refusal::UnknownApp));
        if unanswerable && recipient.dialect != Dialect::Native {
            // An unknown application has no default output: Clipper's clients get no answer, as
            // from Clipper.
            return self.drop_log.add(&"the frontend", &result.status.reason());
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
            lineage: match recipient.dialect {
                Dialect::HighPerf => result.timeline.lineage(self.clock_start),
                Dialect::V2017 | Dialect::Native => Lineage::default(),
            },
        };
        self.out.push(recipient.identity.clone());
        answer.encode(recipient.dialect, &mut self.out);
        if let Err(error) = socket.send(&mut self.out) {
            if error == zmq::Error::EHOSTUNREACH {
                self.clients.remove(&client);
                self.client_lost = true;
            }
            let what = "an answer to a client that is disconnected or does not read";
            self.drop_log.add(&"the frontend", &what);
        }
    }

    /// Sends the replies to HTTP queries of this turn, with one wake-up for all of them.
    pub(crate) fn flush(&mut self) {
        if !self.replies.is_empty() {
            self.http.send(std::mem::take(&mut self.replies));
        }
    }

    /// Returns true if a ZeroMQ client has connected, and has not turned out to be disconnected.
    pub(crate) fn is_connected(&self, client: u32) -> bool {
        self.clients.contains_key(&client)
    }

    /// Returns true if a client turned out to be disconnected since the last call.
    pub(crate) fn take_client_lost(&mut self) -> bool {
        std::mem::take(&mut self.client_lost)
    }

    /// Returns true if the origin of a query can be answered.
    pub(crate) fn is_reachable(&self, payload: &QueryPayload) -> bool {
        match payload.origin {
            Origin::Zmq { client, .. } => self.is_connected(client),
            // The HTTP threads cancel the queries of requests that end.
            Origin::Http(_) => true,
        }
    }

    /// Notes the key of an HTTP query in flight.
    pub(crate) fn track_http_query(&mut self, ticket: u64, query: QueryKey) {
        self.http_queries.insert(ticket, query);
    }

    /// Removes an HTTP query whose client disconnected; returns its key if it is in flight.
    pub(crate) fn untrack_http_query(&mut self, ticket: u64) -> Option<QueryKey> {
        self.http_queries.remove(&ticket)
    }

    /// Returns the number of dropped messages since the start.
    pub(crate) fn dropped_messages(&self) -> u64 {
        self.drop_log.total()
    }

    /// Counts and logs a message that was dropped. `frame` is one that its sender, a client or a
    /// model server, sent.
    pub(crate) fn log_drop(&self, frame: &Frame, what: &dyn fmt::Display) {
        let peer = frame.peer_address().unwrap_or("an unknown peer");
        self.drop_log.add(&peer, what);
    }
}
