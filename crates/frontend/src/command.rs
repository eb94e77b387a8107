//! What other threads ask of the engine.

use std::sync::Arc;

use model::DataType;
use scheduler::{App, ModelVersion};
use tokio::sync::oneshot;
use wire::admin;

use crate::{
    catalog::{Catalog, Write},
    metrics::Snapshot,
    replicas::Newcomer,
};

/// What other threads may ask of the engine.
#[derive(Debug)]
pub(crate) enum Command {
    /// A query over HTTP; the ticket names it in its reply.
    Query {
        ticket: u64,
        request: Request,
    },
    /// Whoever asked the query with this ticket is gone.
    Forget(u64),
    /// Use this catalog from now on, to which these steps led.
    Exchange {
        catalog: Arc<Catalog>,
        steps: Vec<Write>,
    },
    /// A model server that wanted to join may, with this number.
    Admit(Newcomer, u32),
    /// Answer when all commands before this one have been carried out.
    Sync(oneshot::Sender<()>),
    Metrics(oneshot::Sender<Box<Snapshot>>),
    Replicas(oneshot::Sender<Vec<admin::Replica>>),
}

/// A query over HTTP, on its way to the engine.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) app: Arc<App>,
    /// The model version that it goes to; `None` if the application has none.
    pub(crate) model: Option<Arc<ModelVersion>>,
    pub(crate) input_type: DataType,
    /// Elements as on the wire.
    pub(crate) input: Vec<u8>,
}
