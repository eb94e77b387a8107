//! The queries over HTTP in flight, and the handlers that wait for their results.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::oneshot;

use crate::{
    command::{Command, HttpQuery},
    handle::EngineHandle,
    query_result::QueryResult,
    replies::ReplyReceiver,
};

/// The queries in flight, by ticket number.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<QueryResult<'static>>>>,
}

impl Tickets {
    /// Sends a query to the engine under the next ticket number; numbers count from 0. Dropping the
    /// ticket cancels the query.
    pub(super) fn submit(&self, engine: &EngineHandle, request: HttpQuery) -> Ticket<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, result) = oneshot::channel();
        self.waiting().insert(number, sender);
        engine.send_query(number, request);
        Ticket {
            number,
            result,
            tickets: self,
            engine: engine.clone(),
        }
    }

    /// Skips a ticket number.
    pub(super) fn skip(&self) {
        self.next.fetch_add(1, Ordering::Relaxed);
    }

    /// Passes the engine's replies to the waiting handlers until the engine ends.
    pub(super) async fn distribute(&self, mut replies: ReplyReceiver) {
        while let Some(batch) = replies.recv().await {
            let mut waiting = self.waiting();
            for reply in batch {
                if let Some(sender) = waiting.remove(&reply.ticket) {
                    // The requester may have disconnected; ignore send errors.
                    let _ = sender.send(reply.result);
                }
            }
        }
        self.waiting().clear();
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<QueryResult<'static>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A query in flight.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    pub(super) number: u64,
    result: oneshot::Receiver<QueryResult<'static>>,
    tickets: &'a Tickets,
    engine: EngineHandle,
}

impl Ticket<'_> {
    /// Waits for the result. Returns `None` if the frontend is stopping.
    pub(super) async fn result(mut self) -> Option<QueryResult<'static>> {
        (&mut self.result).await.ok()
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.tickets.waiting().remove(&self.number).is_some() {
            self.engine.send(Command::Cancel(self.number));
        }
    }
}
