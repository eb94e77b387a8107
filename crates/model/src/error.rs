//! Errors of a prediction.

/// One input is invalid; other inputs of the batch are unaffected. The text is sent to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InputError(pub String);

/// The model failed on the whole batch. The text is sent to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PredictError(pub String);
