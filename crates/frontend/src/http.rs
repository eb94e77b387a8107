//! The HTTP side: queries and metrics on one port, the admin API on the other.

mod admin;
mod answer;
mod body;
#[cfg(fuzzing)]
pub mod fuzzing;
mod json;
mod metrics;
mod oip;
mod predict;
mod scan;
mod server;
mod shared;
mod tickets;

use std::{io, net::TcpListener, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::Response,
};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::{runtime::Runtime, sync::oneshot, time::timeout};

use crate::{
    access::{Guards, Token},
    declarations::Declarations,
    drop_log::DropLog,
    handle::Handle,
    permits::Permits,
    replies::ReplyReceiver,
    settings, state,
    worker::Worker,
};

use body::Limits;
use server::Server;
use shared::{PING, Shared, text_response};

/// How long to wait at the end until clients have what was answered.
const GOODBYE: Duration = Duration::from_secs(1);

/// Bytes of an admin request's body: read into a tree, it takes a hundred times as many.
const LARGEST_CHANGE: usize = 1 << 20;

/// The threads that serve both ports. Dropping it ends them, whatever connections there are.
pub(crate) type Http = Worker<oneshot::Sender<()>>;

/// What the HTTP threads are given.
pub(crate) struct Parts {
    /// The port of queries and metrics.
    pub(crate) query: TcpListener,
    /// The port of the admin API.
    pub(crate) admin: TcpListener,
    pub(crate) state: state::Handle,
    pub(crate) engine: Handle,
    pub(crate) declarations: Declarations,
    pub(crate) replies: ReplyReceiver,
    pub(crate) guards: Guards,
    pub(crate) drop_log: DropLog,
}

/// Serves both ports.
///
/// # Errors
/// If the system has no more threads or file descriptors.
pub(crate) fn start(parts: Parts, settings: &settings::Http) -> io::Result<Http> {
    let Parts {
        query,
        admin,
        replies,
        guards,
        drop_log,
        ..
    } = parts;
    let shared = Shared {
        state: parts.state,
        engine: parts.engine,
        declarations: parts.declarations,
        tickets: Arc::default(),
        limits: Limits {
            size: settings.max_body_mib << 20,
            time: Duration::from_secs(settings.timeout_content),
        },
    };
    let permits = Permits::new(settings.max_connections);
    let runtime = runtime(settings.thread_pool_size, shared.engine.clone())?;
    let tickets = shared.tickets.clone();
    let mut administration = shared.clone();
    administration.limits.size = shared.limits.size.min(LARGEST_CHANGE);
    let admin_routes = admin::routes().with_state(administration);
    let query_routes = metrics::routes()
        .merge(oip::routes())
        .fallback(predict::serve)
        .with_state(shared);
    let server = |routes| Server {
        routes,
        idle: Duration::from_secs(settings.timeout_request),
        tls: guards.tls.clone(),
        permits: permits.clone(),
        drop_log: drop_log.clone(),
    };
    let query_server = server(guarded(query_routes, guards.query));
    let admin_server = server(guarded(admin_routes, guards.admin));
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = move || {
        runtime.block_on(async {
            let connections = GracefulShutdown::new();
            tokio::select! {
                error = query_server.serve(query, &connections) => {
                    tracing::error!("the query server ended: {error}");
                }
                error = admin_server.serve(admin, &connections) => {
                    tracing::error!("the admin server ended: {error}");
                }
                () = tickets.distribute(replies) => {}
                _ = stopped => {}
            }
            // Clients that do not take their answers now get none.
            let _ = timeout(GOODBYE, connections.shutdown()).await;
        });
        runtime.shutdown_background();
    };
    Worker::spawn("http", stop, serve)
}

/// Asks for the token before anything else, where there is one. Whether the frontend lives may be asked without.
fn guarded(routes: Router, token: Option<Token>) -> Router {
    match token {
        None => routes,
        Some(token) => routes.layer(middleware::from_fn_with_state(token, ask_for_token)),
    }
}

async fn ask_for_token(State(token): State<Token>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION);
    if token.is_borne_by(header.map(HeaderValue::as_bytes)) || request.uri().path() == PING {
        return next.run(request).await;
    }
    let text = "this needs the frontend's token: Authorization: Bearer TOKEN".to_owned();
    let mut response = text_response(StatusCode::UNAUTHORIZED, text);
    let headers = response.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Before a thread waits for something to come it wakes the engine for what it has sent.
fn runtime(threads: usize, engine: Handle) -> io::Result<Runtime> {
    let mut builder = match threads {
        0 | 1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder
        .worker_threads(threads.max(1))
        .thread_name("http")
        .on_thread_park(move || engine.flush())
        .enable_all()
        .build()
}
