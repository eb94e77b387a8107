//! What all handlers have, and answers that all give.

use std::sync::Arc;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{body::Limits, tickets::Tickets};
use crate::{declarations::Declarations, handle::Handle, state};

/// Whether the frontend lives.
pub(super) const PING: &str = "/admin/ping";

/// Queries in one request; more of them would take far more memory than their text.
pub(super) const MOST_QUERIES: usize = 100_000;

/// What every handler has.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) state: state::Handle,
    pub(super) engine: Handle,
    pub(super) declarations: Declarations,
    pub(super) tickets: Arc<Tickets>,
    pub(super) limits: Limits,
}

/// Clipper says that its plain text is JSON.
pub(super) fn text_response(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

pub(super) fn stopping() -> Response {
    let text = "the frontend is stopping".to_owned();
    text_response(StatusCode::SERVICE_UNAVAILABLE, text)
}
