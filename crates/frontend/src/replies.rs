//! The channel for replies from the engine to the HTTP threads. The replies of one turn of the
//! engine's loop are sent together, with one wake-up.

use std::time::Instant;

use tokio::sync::mpsc;

use crate::query_result::{QueryResult, QueryStatus};

/// The engine's reply to a query over HTTP.
#[derive(Debug)]
pub(crate) struct HttpReply {
    /// Ticket of the query.
    pub(crate) ticket: u64,
    pub(crate) result: QueryResult<'static>,
    /// Time at which the engine replied.
    pub(crate) replied: Instant,
}

impl HttpReply {
    /// Returns true unless the reply is a default output.
    pub(crate) fn is_urgent(&self) -> bool {
        !matches!(self.result.status, QueryStatus::Default(_))
    }
}

/// The HTTP threads' end of the channel.
pub(crate) type ReplyReceiver = mpsc::UnboundedReceiver<Vec<HttpReply>>;

/// The engine's end of the channel.
#[derive(Clone, Debug)]
pub(crate) struct Replies(mpsc::UnboundedSender<Vec<HttpReply>>);

impl Replies {
    /// Creates both ends of a channel.
    pub(crate) fn channel() -> (Replies, ReplyReceiver) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Replies(sender), receiver)
    }

    /// Sends replies. Without a receiver, the process is about to end; the replies are dropped.
    pub(crate) fn send(&self, replies: Vec<HttpReply>) {
        let _ = self.0.send(replies);
    }
}
