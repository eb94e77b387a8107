//! The HTTP servers: queries and metrics on one port, the admin API on the other.

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
    access::{Credentials, Token},
    declarations::Declarations,
    drop_log::DropLog,
    handle::EngineHandle,
    permits::Permits,
    replies::ReplyReceiver,
    settings, state,
    worker::WorkerThread,
};

use body::BodyLimits;
use server::HttpServer;
use shared::{HandlerContext, PING, text_response};

/// Time limit, on stop, for clients to receive their answers.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Largest body of an admin request, in bytes. Its tree of values takes a hundred times as much
/// memory.
const MAX_ADMIN_BODY: usize = 1 << 20;

/// The threads that serve both ports. Dropping it ends them and closes all connections.
pub(crate) type HttpThreads = WorkerThread<oneshot::Sender<()>>;

/// The resources of the HTTP threads.
pub(crate) struct HttpParts {
    /// Listener of queries and metrics.
    pub(crate) query: TcpListener,
    /// Listener of the admin API.
    pub(crate) admin: TcpListener,
    pub(crate) state: state::StateHandle,
    pub(crate) engine: EngineHandle,
    pub(crate) declarations: Declarations,
    pub(crate) replies: ReplyReceiver,
    pub(crate) credentials: Credentials,
    pub(crate) drop_log: DropLog,
}

/// Starts the threads that serve both ports.
///
/// # Errors
/// If the system has no more threads or file descriptors.
pub(crate) fn start(
    parts: HttpParts,
    settings: &settings::HttpSettings,
) -> io::Result<HttpThreads> {
    let HttpParts {
        query,
        admin,
        replies,
        credentials,
        drop_log,
        ..
    } = parts;
    let shared = HandlerContext {
        state: parts.state,
        engine: parts.engine,
        declarations: parts.declarations,
        tickets: Arc::default(),
        limits: BodyLimits {
            size: settings.max_body_mib << 20,
            time: Duration::from_secs(settings.timeout_content),
        },
    };
    let permits = Permits::new(settings.max_connections);
    let runtime = runtime(settings.thread_pool_size, shared.engine.clone())?;
    let tickets = shared.tickets.clone();
    let mut administration = shared.clone();
    administration.limits.size = shared.limits.size.min(MAX_ADMIN_BODY);
    let admin_routes = admin::routes().with_state(administration);
    let query_routes = metrics::routes()
        .merge(oip::routes())
        .fallback(predict::serve)
        .with_state(shared);
    let server = |routes| HttpServer {
        routes,
        idle: Duration::from_secs(settings.timeout_request),
        tls: credentials.tls.clone(),
        permits: permits.clone(),
        drop_log: drop_log.clone(),
    };
    let query_server = server(with_token_check(query_routes, credentials.query));
    let admin_server = server(with_token_check(admin_routes, credentials.admin));
    let (stop, stopped) = oneshot::channel::<()>();
    let serve = move || {
        runtime.block_on(async {
            let connections = GracefulShutdown::new();
            tokio::select! {
                error = query_server.serve(query, &connections) => {
                    tracing::error!("the HTTP server of queries failed: {error}");
                }
                error = admin_server.serve(admin, &connections) => {
                    tracing::error!("the HTTP server of the admin API failed: {error}");
                }
                () = tickets.distribute(replies) => {}
                _ = stopped => {}
            }
            // Clients that do not read their answers in this time get none.
            let _ = timeout(FLUSH_TIMEOUT, connections.shutdown()).await;
        });
        runtime.shutdown_background();
    };
    WorkerThread::spawn("http", stop, serve)
}

/// Requires the token, if there is one, for every path except the ping.
fn with_token_check(routes: Router, token: Option<Token>) -> Router {
    match token {
        None => routes,
        Some(token) => routes.layer(middleware::from_fn_with_state(token, require_token)),
    }
}

async fn require_token(State(token): State<Token>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION);
    if token.matches_header(header.map(HeaderValue::as_bytes)) || request.uri().path() == PING {
        return next.run(request).await;
    }
    let text = "a token is required: send the header Authorization: Bearer TOKEN".to_owned();
    let mut response = text_response(StatusCode::UNAUTHORIZED, text);
    let headers = response.headers_mut();
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Builds the runtime. A thread wakes the engine for the queries that it has sent before it parks.
fn runtime(threads: usize, engine: EngineHandle) -> io::Result<Runtime> {
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
