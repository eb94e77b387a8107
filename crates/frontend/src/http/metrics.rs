//! `GET /metrics`: Clipper's JSON or, if the client accepts text, Prometheus' format.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::shared::{HandlerContext, stopping};
use crate::{command::Command, metrics::Snapshot};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn routes() -> Router<HandlerContext> {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/metrics/prometheus", get(prometheus))
}

/// Returns the metrics. Clients that accept anything get JSON, among them Clipper's own exporter.
async fn metrics(State(shared): State<HandlerContext>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    match shared.engine.request(Command::Metrics).await {
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

async fn prometheus(State(shared): State<HandlerContext>) -> Response {
    match shared.engine.request(Command::Metrics).await {
        Some(snapshot) => text(*snapshot, OPEN_METRICS),
        None => stopping(),
    }
}

fn text(snapshot: Snapshot, content_type: &'static str) -> Response {
    let body = snapshot.into_text();
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// Returns the accepted content type of text, if any: OpenMetrics, or the older type of Prometheus
/// for the same lines.
fn text_type(accept: &str) -> Option<&'static str> {
    if accept.contains("application/openmetrics-text") {
        Some(OPEN_METRICS)
    } else if accept.contains("text/plain") {
        Some("text/plain; version=0.0.4; charset=utf-8")
    } else {
        None
    }
}
