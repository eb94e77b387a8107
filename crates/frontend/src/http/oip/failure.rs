//! Requests that are answered with an error.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

/// A status, and what is wrong.
pub(super) struct Failure(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

pub(super) fn bad_request(text: impl ToString) -> Failure {
    Failure(StatusCode::BAD_REQUEST, text.to_string())
}

pub(super) fn stopping() -> Failure {
    let text = "the frontend is stopping".to_owned();
    Failure(StatusCode::SERVICE_UNAVAILABLE, text)
}
