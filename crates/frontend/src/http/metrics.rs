//! What the frontend counts: `GET /metrics`, in Clipper's JSON or, for who asks for text, as Prometheus reads it.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::shared::{Shared, stopping};
use crate::{command::Command, metrics::Snapshot};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/metrics/prometheus", get(prometheus))
}

/// Clipper's own exporter, like most clients, takes anything: that is JSON.
async fn metrics(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    match shared.engine.ask(Command::Metrics).await {
        None => stopping(),
        Some(snapshot) => match text_type(accept.unwrap_or_default()) {
            Some(content_type) => text(*snapshot, content_type),
            None => {
                let body = format!("{:#}", snapshot.to_json());
                ([(header::CONTENT_TYPE, "application/json")], body).into_response()
            }
        },
    }
}

async fn prometheus(State(shared): State<Shared>) -> Response {
    match shared.engine.ask(Command::Metrics).await {
        Some(snapshot) => text(*snapshot, OPEN_METRICS),
        None => stopping(),
    }
}

fn text(snapshot: Snapshot, content_type: &'static str) -> Response {
    let body = snapshot.into_text();
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// The type of text that is asked for, if it is any: OpenMetrics, or what older Prometheus servers call the same lines.
fn text_type(accept: &str) -> Option<&'static str> {
    if accept.contains("application/openmetrics-text") {
        Some(OPEN_METRICS)
    } else if accept.contains("text/plain") {
        Some("text/plain; version=0.0.4; charset=utf-8")
    } else {
        None
    }
}
