//! What other threads ask of the engine.

use std::time::Duration;

use model::DataType;
use scheduler::{App, ModelVersion};
use tokio::sync::oneshot;
use wire::admin;

use crate::{metrics::Snapshot, replicas::Newcomer};

/// What other threads may ask of the engine.
#[derive(Debug)]
pub(crate) enum Command {
    Query(Asked),
    /// Whoever asked the query with this ticket is gone.
    Forget(u64),
    SetApp(App),
    RemoveApp(String),
    Link {
        app: String,
        model: String,
    },
    /// Takes an application's link back.
    Unlink(String),
    /// Forgets a model version; its replicas leave.
    RemoveModel(ModelVersion),
    SetModel(ModelVersion, DataType, Option<usize>),
    SetCurrentVersion(ModelVersion),
    /// A model server that wanted to join may, with this number.
    Admit(Newcomer, u32),
    /// Answer when all commands before this one have been carried out.
    Sync(oneshot::Sender<()>),
    Metrics(oneshot::Sender<Box<Snapshot>>),
    Replicas(oneshot::Sender<Vec<admin::Replica>>),
}

/// A query that came over HTTP.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Names it in its answer.
    pub(crate) ticket: u64,
    pub(crate) app: String,
    /// The model version that it wants, if that is not the current one.
    pub(crate) version: Option<String>,
    pub(crate) input_type: DataType,
    /// How long it may take, if that is not the application's objective.
    pub(crate) within: Option<Duration>,
    pub(crate) input: Vec<u8>,
}
