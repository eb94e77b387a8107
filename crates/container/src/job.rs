//! Messages between the session's thread and the model's.

use std::time::Instant;

use model::Predictions;
use transport::Frame;
use wire::rpc::{ErrorCode, RequestHead, Times};

/// A batch on its way from the session to the model.
pub(crate) struct BatchJob {
    /// Number of the connection it arrived on; results for an older connection are dropped.
    pub(crate) connection: u64,
    pub(crate) head: RequestHead,
    pub(crate) inputs: Vec<Frame>,
    /// Time of arrival, in microseconds of the session's clock.
    pub(crate) received: u64,
}

/// The result of a batch on its way from the model to the session.
pub(crate) struct BatchResult {
    pub(crate) connection: u64,
    pub(crate) head: RequestHead,
    pub(crate) predictions: Result<Predictions, BatchFailure>,
    /// All times but `sent`, which the session sets.
    pub(crate) times: Times,
}

/// Reason why a whole batch has no predictions.
pub(crate) struct BatchFailure {
    pub(crate) code: ErrorCode,
    pub(crate) text: String,
}

/// Returns the microseconds since the session's clock started.
pub(crate) fn micros(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX)
}
