//! The command queue from the other threads to the engine.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc::{self, Receiver, Sender},
};

use tokio::sync::oneshot;
use transport::Waker;

use crate::{
    command::{Command, HttpQuery},
    way_back::WayBack,
};

/// Number of queries after which the engine is woken before the sending thread waits.
const WAKE_BATCH: usize = 64;

/// The sending end of the command queue.
#[derive(Clone, Debug)]
pub(crate) struct EngineHandle {
    commands: Sender<Command>,
    wake: Waker,
    /// Number of queries sent since the engine was last woken for queries.
    unannounced: Arc<AtomicUsize>,
    /// The HTTP threads record how long answers take.
    pub(crate) way_back: Arc<WayBack>,
}

/// The engine's end of the command queue.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) commands: Receiver<Command>,
    /// Wakes the engine when commands arrive.
    pub(crate) wake: Waker,
    pub(crate) way_back: Arc<WayBack>,
}

impl EngineHandle {
    /// Returns both ends of a new queue.
    pub(crate) fn channel(wake: Waker) -> (EngineHandle, Inbox) {
        let (sender, commands) = mpsc::channel();
        let handle = EngineHandle {
            commands: sender,
            wake: wake.clone(),
            unannounced: Arc::default(),
            way_back: Arc::default(),
        };
        let inbox = Inbox {
            commands,
            wake,
            way_back: handle.way_back.clone(),
        };
        (handle, inbox)
    }

    /// Sends a command and wakes the engine.
    pub(crate) fn send(&self, command: Command) {
        // A send fails only when the engine has ended, and then the process ends too.
        let _ = self.commands.send(command);
        self.wake.wake();
    }

    /// Sends a query. One wake-up serves several queries; [`EngineHandle::flush`] sends it at the
    /// latest.
    pub(crate) fn send_query(&self, ticket: u64, request: HttpQuery) {
        let _ = self.commands.send(Command::Query { ticket, request });
        if self.unannounced.fetch_add(1, Ordering::AcqRel) + 1 >= WAKE_BATCH {
            self.flush();
        }
    }

    /// Wakes the engine for queries that were sent without a wake-up. Call it before a thread
    /// waits.
    pub(crate) fn flush(&self) {
        if self.unannounced.swap(0, Ordering::AcqRel) > 0 {
            self.wake.wake();
        }
    }

    /// Sends a command and waits for the engine's reply. Returns `None` if the engine has stopped.
    pub(crate) async fn request<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.send(command(answer));
        answered.await.ok()
    }

    /// Like [`EngineHandle::request`], for a thread that may block.
    pub(crate) fn request_blocking<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.send(command(answer));
        answered.blocking_recv().ok()
    }
}
