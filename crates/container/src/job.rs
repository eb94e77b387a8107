//! What goes between the socket's thread and the model's.

use std::time::Instant;

use model::Predictions;
use transport::Frame;
use wire::rpc::{ErrorCode, RequestHead, Times};

/// A batch on its way from the session to the model.
pub(crate) struct Job {
    /// The connection that it came by: predictions for an older one are dropped.
    pub(crate) connection: u64,
    pub(crate) head: RequestHead,
    pub(crate) inputs: Vec<Frame>,
    /// When it came, in microseconds of the session's clock.
    pub(crate) received: u64,
}

/// A batch on its way back.
pub(crate) struct Done {
    pub(crate) connection: u64,
    pub(crate) head: RequestHead,
    pub(crate) predictions: Result<Predictions, Failure>,
    /// All but the last: that is the session's.
    pub(crate) times: Times,
}

/// Why a whole batch has no predictions.
pub(crate) struct Failure {
    pub(crate) code: ErrorCode,
    pub(crate) text: String,
}

/// Microseconds since the session's clock was started.
pub(crate) fn micros(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX)
}
