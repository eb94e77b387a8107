//! What the frontend counts.

use axum::{
    Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};

use super::{Shared, stopping};
use crate::command::Command;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(shared): State<Shared>) -> Response {
    match shared.engine.ask(Command::Metrics).await {
        Some(report) => {
            let body = format!("{report:#}");
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        None => stopping(),
    }
}
