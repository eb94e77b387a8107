//! The way of replies from the engine to the HTTP threads: those of one turn of its loop together, with one wake-up.

use tokio::sync::mpsc;

use crate::query_result::QueryResult;

/// The engine's reply to a query over HTTP.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The query's.
    pub(crate) ticket: u64,
    pub(crate) result: QueryResult<'static>,
}

/// The HTTP threads' end.
pub(crate) type ReplyReceiver = mpsc::UnboundedReceiver<Vec<Reply>>;

/// The engine's end: where it puts replies.
#[derive(Clone, Debug)]
pub(crate) struct Replies(mpsc::UnboundedSender<Vec<Reply>>);

impl Replies {
    /// Both ends of the way back.
    pub(crate) fn channel() -> (Replies, ReplyReceiver) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Replies(sender), receiver)
    }

    /// Hands replies over. Without a receiver the process is about to end.
    pub(crate) fn hand_over(&self, replies: Vec<Reply>) {
        let _ = self.0.send(replies);
    }
}
