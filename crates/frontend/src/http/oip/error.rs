//! Error responses of the Open Inference Protocol.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// The status and text of an error response.
pub(super) struct OipError(pub(super) StatusCode, pub(super) String);

impl IntoResponse for OipError {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

pub(super) fn bad_request(text: impl ToString) -> OipError {
    OipError(StatusCode::BAD_REQUEST, text.to_string())
}

pub(super) fn stopping() -> OipError {
    let text = "the frontend is stopping".to_owned();
    OipError(StatusCode::SERVICE_UNAVAILABLE, text)
}
