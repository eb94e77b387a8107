//! The queue of commands from the HTTP threads to the engine.

use std::sync::mpsc::Sender;

use model::DataType;
use scheduler::{App, ModelVersion};
use tokio::sync::oneshot;
use transport::Wake;
use wire::admin;

/// What other threads may ask of the engine.
#[derive(Debug)]
pub(crate) enum Command {
    SetApp(App),
    Link {
        app: String,
        model: String,
    },
    SetModel(ModelVersion, DataType, Option<usize>),
    SetCurrentVersion(ModelVersion),
    /// Answer when all commands before this one have been carried out.
    Sync(oneshot::Sender<()>),
    Metrics(oneshot::Sender<serde_json::Value>),
    Replicas(oneshot::Sender<Vec<admin::Replica>>),
}

/// The other threads' end of the command queue.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    commands: Sender<Command>,
    wake: Wake,
}

impl Handle {
    pub(crate) fn new(commands: Sender<Command>, wake: Wake) -> Handle {
        Handle { commands, wake }
    }

    pub(crate) fn send(&self, command: Command) {
        // Without an engine the process is about to end.
        let _ = self.commands.send(command);
        self.wake.wake();
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
}
