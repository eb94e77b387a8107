//! The commands of other threads to the engine.

use std::{os::fd::RawFd, sync::Arc, time::Instant};

use model::DataType;
use scheduler::{App, ModelVersion};
use tokio::sync::oneshot;
use wire::admin;

use crate::{
    catalog::{Catalog, CatalogChange},
    container_sockets::ContainerPort,
    metrics::Snapshot,
    replicas::JoinRequest,
};

/// A command of another thread to the engine.
#[derive(Debug)]
pub(crate) enum Command {
    /// A query over HTTP. Its reply carries the same ticket.
    Query { ticket: u64, request: HttpQuery },
    /// Cancels the query with this ticket: its client has disconnected.
    Cancel(u64),
    /// Replaces the catalog. `changes` are the differences from the previous one.
    SetCatalog {
        catalog: Arc<Catalog>,
        changes: Vec<CatalogChange>,
    },
    /// Admits a model server as the replica with this number.
    Admit(JoinRequest, u32),
    /// Reports that a connection of a model server was closed.
    ConnectionClosed { port: ContainerPort, fd: RawFd },
    /// Replies after all earlier commands have been carried out.
    Sync(oneshot::Sender<()>),
    /// Replies with the current metrics.
    Metrics(oneshot::Sender<Box<Snapshot>>),
    /// Replies with the connected replicas.
    Replicas(oneshot::Sender<Vec<admin::ReplicaInfo>>),
}

/// A query over HTTP, on its way to the engine.
#[derive(Debug)]
pub(crate) struct HttpQuery {
    pub(crate) app: Arc<App>,
    /// The model version that answers it; `None` if the application has none.
    pub(crate) model: Option<Arc<ModelVersion>>,
    pub(crate) input_type: DataType,
    /// The input's elements in wire format.
    pub(crate) input: Vec<u8>,
    /// Time at which the request was complete. Under load, it waits for the engine.
    pub(crate) arrived: Instant,
}
