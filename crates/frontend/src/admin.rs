//! The HTTP side: the admin API on one port, metrics on the other.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::{
    command::{Command, Handle},
    state::{Change, Registry},
};

/// What every handler has.
#[derive(Clone)]
struct Shared {
    registry: Arc<Mutex<Registry>>,
    engine: Handle,
}

/// The thread that serves both ports. Dropping it ends it, whatever connections there are.
#[derive(Debug)]
pub(crate) struct Http {
    /// Dropped to stop.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Http {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}

/// Serves both ports from a thread of its own.
pub(crate) fn start(
    query: TcpListener,
    admin: TcpListener,
    registry: Arc<Mutex<Registry>>,
    engine: Handle,
) -> anyhow::Result<Http> {
    let shared = Shared { registry, engine };
    let admin_routes = Router::new()
        .route("/admin/ping", get(async || "PONG"))
        .route("/admin/add_app", post(add_app))
        .route("/admin/add_model", post(add_model))
        .route("/admin/add_model_links", post(add_model_links))
        .route("/admin/set_model_version", post(set_model_version))
        .route("/admin/replicas", get(replicas))
        .with_state(shared.clone());
    let query_routes = Router::new()
        .route("/metrics", get(metrics))
        .with_state(shared);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (query, admin) = {
        let _inside = runtime.enter();
        let listen = tokio::net::TcpListener::from_std;
        (listen(query)?, listen(admin)?)
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = move || {
        runtime.block_on(async {
            tokio::select! {
                ended = axum::serve(query, query_routes).into_future() => {
                    tracing::error!("the query server ended: {ended:?}");
                }
                ended = axum::serve(admin, admin_routes).into_future() => {
                    tracing::error!("the admin server ended: {ended:?}");
                }
                _ = stopped => {}
            }
        });
    };
    let thread = thread::Builder::new().name("http".into()).spawn(serve)?;
    Ok(Http {
        stop: Some(stop),
        thread: Some(thread),
    })
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

async fn metrics(State(shared): State<Shared>) -> Response {
    match shared.engine.ask(Command::Metrics).await {
        Some(report) => {
            let body = format!("{report:#}");
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
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
        // A panic while it was held would have been before the change.
        let mut registry = shared
            .registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
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

/// Clipper's admin API says that its plain text is JSON.
fn text_response(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn stopping() -> Response {
    let text = "the frontend is stopping".to_owned();
    text_response(StatusCode::SERVICE_UNAVAILABLE, text)
}
