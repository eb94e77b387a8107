//! Requests to the state's thread.

use scheduler::ModelVersion;
use tokio::sync::oneshot;
use wire::admin;

use crate::replicas::Newcomer;

/// The text for a client of the admin API: what was done, or why nothing was.
pub(crate) type Answer = Result<String, String>;

/// A request to the state's thread.
#[derive(Debug)]
pub(super) enum Request {
    Admin(admin::Request, oneshot::Sender<Option<Answer>>),
    /// A model server wants to be a replica, and needs a number that no other frontend gives.
    Join(Newcomer),
    /// The replica of this number has left.
    Left(ModelVersion, u32),
    /// Redis may hold something else than before, or have stopped answering.
    Look,
    Stop,
}
