//! Requests to the state thread.

use scheduler::ModelVersion;
use tokio::sync::oneshot;
use wire::admin;

use crate::replicas::JoinRequest;

/// Text for a client of the admin API: the result of its request, or the reason for a refusal.
pub(crate) type AdminResult = Result<String, String>;

/// A request to the state thread.
#[derive(Debug)]
pub(super) enum StateRequest {
    /// A request of the admin API; the reply is `None` if the frontend is stopping.
    Admin(admin::AdminRequest, oneshot::Sender<Option<AdminResult>>),
    /// A model server registers and needs a replica number that is unique over all frontends.
    Join(JoinRequest),
    /// The replica of this number has left.
    Left(ModelVersion, u32),
    /// Reads Redis again: its contents may have changed, or it may have stopped answering.
    Refresh,
    /// Ends the thread.
    Stop,
}
