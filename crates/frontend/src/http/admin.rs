//! The admin API: all endpoints of Clipper's management frontend, and `GET /admin/replicas`, which
//! Clipper does not have.

pub(super) mod tree;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use wire::admin::{ENDPOINTS, Endpoint};

use super::shared::{HandlerContext, PING, stopping, text_response};
use crate::command::Command;

pub(super) fn routes() -> Router<HandlerContext> {
    let pong = async || text_response(StatusCode::OK, "PONG".to_owned());
    let routes = Router::new()
        .route(PING, get(pong))
        .route("/admin/replicas", get(replicas));
    ENDPOINTS.iter().fold(routes, |routes, endpoint| {
        let path = format!("/admin/{}", endpoint.name);
        let handler = async |State(shared): State<HandlerContext>, request: Request| {
            let (parts, body) = request.into_parts();
            match shared.limits.read(&parts.headers, body).await {
                Ok(body) => answer(&shared, endpoint, &body).await,
                Err(unreadable) => text_response(unreadable.status, unreadable.cause),
            }
        };
        routes.route(&path, post(handler))
    })
}

async fn replicas(State(shared): State<HandlerContext>) -> Response {
    match shared.engine.request(Command::Replicas).await {
        Some(replicas) => Json(replicas).into_response(),
        None => stopping(),
    }
}

/// Handles a request: reads the body, sends the request to the state thread, and answers after the
/// engine has applied the change.
async fn answer(shared: &HandlerContext, endpoint: &Endpoint, body: &[u8]) -> Response {
    let body = tree::read(body).map_err(|error| endpoint.refusal(&error.to_string()));
    let request = match body.and_then(|body| endpoint.request(&body)) {
        Ok(request) => request,
        Err(error) => return text_response(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match shared.state.request(request).await {
        None => stopping(),
        Some(Err(text)) => text_response(StatusCode::BAD_REQUEST, text),
        Some(Ok(text)) => match shared.engine.request(Command::Sync).await {
            Some(()) => text_response(StatusCode::OK, text),
            None => stopping(),
        },
    }
}
