//! Queries over HTTP on their way to the engine, and who waits for which answer.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::oneshot;

use crate::{
    command::{Command, Request},
    handle::Handle,
    query_result::QueryResult,
    replies::ReplyReceiver,
};

/// Who waits for which answer.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<QueryResult<'static>>>>,
}

impl Tickets {
    /// Hands a request to the engine, with the next ticket: they count queries from 0. Dropping what is returned takes
    /// the query back.
    pub(super) fn ask(&self, engine: &Handle, request: Request) -> Ticket<'_> {
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

    /// Leaves a number out.
    pub(super) fn skip(&self) {
        self.next.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives the engine's replies to those who wait, until the engine is gone.
    pub(super) async fn distribute(&self, mut replies: ReplyReceiver) {
        while let Some(batch) = replies.recv().await {
            let mut waiting = self.waiting();
            for reply in batch {
                if let Some(sender) = waiting.remove(&reply.ticket) {
                    // The requester may have disconnected.
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

/// A query that was asked.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    pub(super) number: u64,
    result: oneshot::Receiver<QueryResult<'static>>,
    tickets: &'a Tickets,
    engine: Handle,
}

impl Ticket<'_> {
    /// Waits for the result; `None` if the frontend is stopping.
    pub(super) async fn result(mut self) -> Option<QueryResult<'static>> {
        (&mut self.result).await.ok()
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.tickets.waiting().remove(&self.number).is_some() {
            self.engine.send(Command::Forget(self.number));
        }
    }
}
