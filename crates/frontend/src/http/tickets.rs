//! The queries over HTTP in flight, and the handlers that wait for their results.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{mpsc::error::TryRecvError, oneshot};

use crate::{
    command::{Command, HttpQuery},
    handle::EngineHandle,
    query_result::QueryResult,
    replies::{HttpReply, ReplyReceiver},
};

/// Number of default outputs that are passed to their handlers before other tasks run.
const DEFAULTS_PER_TURN: usize = 16;

/// The queries in flight, by ticket number.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<HttpReply>>>,
}

impl Tickets {
    /// Sends a query to the engine under the next ticket number; numbers count from 0. Dropping the
    /// ticket cancels the query.
    pub(super) fn submit(&self, engine: &EngineHandle, request: HttpQuery) -> Ticket<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        self.waiting().insert(number, sender);
        engine.send_query(number, request);
        Ticket {
            number,
            reply,
            tickets: self,
            engine: engine.clone(),
        }
    }

    /// Skips a ticket number.
    pub(super) fn skip(&self) {
        self.next.fetch_add(1, Ordering::Relaxed);
    }

    /// Passes the engine's replies to the waiting handlers until the engine ends.
    ///
    /// Under overload, many queries get the default output at once. The model's answers overtake
    /// them, because those have little time left: a few default outputs at a time take turns with
    /// the other tasks of the HTTP thread.
    pub(super) async fn distribute(&self, mut replies: ReplyReceiver) {
        let mut defaults = VecDeque::new();
        loop {
            let received = match defaults.is_empty() {
                true => replies.recv().await.ok_or(TryRecvError::Disconnected),
                false => replies.try_recv(),
            };
            match received {
                Ok(batch) => {
                    let (now, later) = batch.into_iter().partition(HttpReply::is_urgent);
                    defaults.extend::<Vec<HttpReply>>(later);
                    self.deliver::<Vec<HttpReply>>(now);
                }
                Err(TryRecvError::Disconnected) if defaults.is_empty() => break,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                    let few = defaults.len().min(DEFAULTS_PER_TURN);
                    self.deliver(defaults.drain(..few));
                    tokio::task::yield_now().await;
                }
            }
        }
        self.waiting().clear();
    }

    fn deliver<T: IntoIterator<Item = HttpReply>>(&self, replies: T) {
        let mut waiting = self.waiting();
        for reply in replies {
            if let Some(sender) = waiting.remove(&reply.ticket) {
                // The requester may have disconnected; ignore send errors.
                let _ = sender.send(reply);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<HttpReply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A query in flight.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    pub(super) number: u64,
    reply: oneshot::Receiver<HttpReply>,
    tickets: &'a Tickets,
    engine: EngineHandle,
}

impl Ticket<'_> {
    /// Waits for the result. Returns `None` if the frontend is stopping.
    pub(super) async fn result(mut self) -> Option<QueryResult<'static>> {
        Some((&mut self.reply).await.ok()?.result)
    }

    /// Like [`Ticket::result`], for the only query of a request: records how long the answer took
    /// from the engine to here.
    pub(super) async fn only_result(mut self) -> Option<QueryResult<'static>> {
        let reply = (&mut self.reply).await.ok()?;
        if reply.is_urgent() {
            self.engine.way_back.record(reply.replied.elapsed());
        }
        Some(reply.result)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.tickets.waiting().remove(&self.number).is_some() {
            self.engine.send(Command::Cancel(self.number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use model::DataType;
    use scheduler::{App, DefaultReason};
    use tokio::sync::mpsc;
    use transport::Waker;

    use super::*;
    use crate::{query_result::QueryStatus, replies::Replies, timeline::Timeline};

    #[tokio::test]
    async fn model_answers_overtake_default_outputs() {
        let (engine, _inbox) = EngineHandle::channel(Waker::new().unwrap());
        let (replies, receiver) = Replies::channel();
        let app = Arc::new(App {
            name: "app".into(),
            input_type: DataType::Floats,
            default_output: String::new(),
            objective: Duration::from_secs(1),
        });
        let request = || HttpQuery {
            app: app.clone(),
            model: None,
            input_type: DataType::Floats,
            input: Vec::new(),
            arrived: Instant::now(),
        };
        let tickets: &'static Tickets = Box::leak(Box::default());
        let waiting: Vec<_> = (0..200)
            .map(|_| tickets.submit(&engine, request()))
            .collect();
        // The last ticket is the model's.
        let reply = |ticket: u64| HttpReply {
            ticket,
            result: QueryResult::without_output(
                match ticket {
                    199 => QueryStatus::Ok,
                    _ => QueryStatus::Default(DefaultReason::Shed),
                },
                &[],
                Timeline::unsent(Duration::ZERO, Duration::ZERO),
            ),
            replied: Instant::now(),
        };
        replies.send((0..100).map(reply).collect());
        replies.send((100..200).map(reply).collect());
        drop(replies);
        let (ended, mut order) = mpsc::unbounded_channel();
        for ticket in waiting {
            let ended = ended.clone();
            tokio::spawn(async move {
                let number = ticket.number;
                ticket.result().await.unwrap();
                ended.send(number).unwrap();
            });
        }
        drop(ended);
        tickets.distribute(receiver).await;
        let mut numbers = Vec::new();
        while let Some(number) = order.recv().await {
            numbers.push(number);
        }
        assert_eq!(numbers.len(), 200);
        let place = numbers.iter().position(|number| *number == 199).unwrap();
        assert!(place < 2 * DEFAULTS_PER_TURN, "{place}");
    }
}
