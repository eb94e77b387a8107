//! The admin API.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::de::DeserializeOwned;

use super::{Shared, stopping, text_response};
use crate::{
    command::Command,
    state::{Change, Registry},
};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/admin/ping", get(async || "PONG"))
        .route("/admin/add_app", post(add_app))
        .route("/admin/add_model", post(add_model))
        .route("/admin/add_model_links", post(add_model_links))
        .route("/admin/set_model_version", post(set_model_version))
        .route("/admin/replicas", get(replicas))
}

async fn add_app(State(shared): State<Shared>, body: Bytes) -> Response {
    let schema = r#"{"name": string, "input_type": "integers" | "bytes" | "floats" | "doubles" | "strings", "default_output": string, "latency_slo_micros": int}"#;
    change(&shared, &body, schema, Registry::add_app).await
}

async fn add_model(State(shared): State<Shared>, body: Bytes) -> Response {
    let schema = r#"{"model_name": string, "model_version": string, "labels": [string], "input_type": "integers" | "bytes" | "floats" | "doubles" | "strings", "container_name": string, "model_data_path": string, "batch_size": int}"#;
    change(&shared, &body, schema, Registry::add_model).await
}

async fn add_model_links(State(shared): State<Shared>, body: Bytes) -> Response {
    let schema = r#"{"app_name": string, "model_names": [string]}"#;
    change(&shared, &body, schema, Registry::add_model_links).await
}

async fn set_model_version(State(shared): State<Shared>, body: Bytes) -> Response {
    let schema = r#"{"model_name": string, "model_version": string}"#;
    change(&shared, &body, schema, Registry::set_model_version).await
}

async fn replicas(State(shared): State<Shared>) -> Response {
    match shared.engine.ask(Command::Replicas).await {
        Some(replicas) => Json(replicas).into_response(),
        None => stopping(),
    }
}

/// Reads the body, changes the registry, and answers when the engine knows.
async fn change<T: DeserializeOwned>(
    shared: &Shared,
    body: &[u8],
    schema: &str,
    change: impl FnOnce(&mut Registry, T) -> Change,
) -> Response {
    let request = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => {
            let text = format!("Error parsing JSON: {error}. Expected JSON schema: {schema}");
            return text_response(StatusCode::BAD_REQUEST, text);
        }
    };
    let outcome = {
        let mut registry = shared.registry();
        change(&mut registry, request).map(|(text, commands)| {
            // Under the lock, so that the engine hears of changes in their order.
            commands.into_iter().for_each(|c| shared.engine.send(c));
            text
        })
    };
    match outcome {
        Err(text) => text_response(StatusCode::BAD_REQUEST, text),
        Ok(text) => match shared.engine.ask(Command::Sync).await {
            Some(()) => text_response(StatusCode::OK, text),
            None => stopping(),
        },
    }
}
