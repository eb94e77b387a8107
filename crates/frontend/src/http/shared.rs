//! The context of all handlers, and responses that several of them use.

use std::sync::Arc;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{body::BodyLimits, tickets::Tickets};
use crate::{declarations::Declarations, handle::EngineHandle, state};

/// Path of the ping.
pub(super) const PING: &str = "/admin/ping";

/// Largest number of queries in one request. More would take far more memory than their text.
pub(super) const MAX_QUERIES: usize = 100_000;

/// The context of every handler.
#[derive(Clone)]
pub(super) struct HandlerContext {
    pub(super) state: state::StateHandle,
    pub(super) engine: EngineHandle,
    pub(super) declarations: Declarations,
    pub(super) tickets: Arc<Tickets>,
    pub(super) limits: BodyLimits,
}

/// Returns a text response. Its content type is JSON even for plain text, as in Clipper.
pub(super) fn text_response(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Returns the response of a frontend that is stopping.
pub(super) fn stopping() -> Response {
    let text = "the frontend is stopping".to_owned();
    text_response(StatusCode::SERVICE_UNAVAILABLE, text)
}
