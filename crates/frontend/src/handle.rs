//! The queue of commands from other threads to the engine.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc::{self, Receiver, Sender},
};

use tokio::sync::oneshot;
use transport::Waker;

use crate::command::{Command, Request};

/// So many queries wake the engine, whatever the thread that sends them has to do besides.
const AT_ONCE: usize = 64;

/// The other threads' end of the command queue.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    commands: Sender<Command>,
    wake: Waker,
    /// Queries of which the engine may not know.
    held: Arc<AtomicUsize>,
}

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) commands: Receiver<Command>,
    /// Wakes the engine for them.
    pub(crate) wake: Waker,
}

impl Handle {
    /// Both ends of the queue.
    pub(crate) fn channel(wake: Waker) -> (Handle, Inbox) {
        let (sender, commands) = mpsc::channel();
        let handle = Handle {
            commands: sender,
            wake: wake.clone(),
            held: Arc::default(),
        };
        (handle, Inbox { commands, wake })
    }

    pub(crate) fn send(&self, command: Command) {
        // Without an engine the process is about to end.
        let _ = self.commands.send(command);
        self.wake.wake();
    }

    /// Sends a query; the engine is woken for several together, by [`Handle::flush`] at the latest.
    pub(crate) fn send_query(&self, ticket: u64, request: Request) {
        let _ = self.commands.send(Command::Query { ticket, request });
        if self.held.fetch_add(1, Ordering::AcqRel) + 1 >= AT_ONCE {
            self.flush();
        }
    }

    /// Wakes the engine for the queries that it may not know of: to be called before a thread waits.
    pub(crate) fn flush(&self) {
        if self.held.swap(0, Ordering::AcqRel) > 0 {
            self.wake.wake();
        }
    }

    /// Asks for something that the engine answers; `None` once it has stopped.
    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.send(command(answer));
        answered.await.ok()
    }

    /// The same for a thread that may wait.
    pub(crate) fn ask_and_wait<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.send(command(answer));
        answered.blocking_recv().ok()
    }
}
