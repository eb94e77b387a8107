//! HTTP connections: accepting them, TLS and time limits.

use std::{
    future::Future,
    io,
    net::TcpListener,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{Router, serve::Listener};
use hyper::{
    rt::{Sleep, Timer},
    server::conn::http1,
};
use hyper_util::{
    rt::TokioIo,
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::drop_log::DropLog;
use crate::permits::Permits;

/// Time after which a client that does not read its answer is disconnected, in milliseconds.
const UNREAD_TIMEOUT_MS: u32 = 30_000;

/// A server of one port.
#[derive(Clone)]
pub(super) struct HttpServer {
    pub(super) routes: Router,
    /// Time limit for a request's header. A connection idle for as long is closed.
    pub(super) idle: Duration,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) permits: Permits,
    pub(super) drop_log: DropLog,
}

impl HttpServer {
    /// Serves every connection until the listener fails.
    pub(super) async fn serve(
        self,
        listener: TcpListener,
        connections: &GracefulShutdown,
    ) -> io::Error {
        let mut listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return error,
        };
        loop {
            let (stream, address) = Listener::accept(&mut listener).await;
            let Some(permit) = self.permits.take(address.ip()) else {
                let what = "HTTP connection beyond the limit of its address (--max_connections)";
                self.drop_log.add(&address.ip(), &what);
                continue;
            };
            // A failure only delays answers.
            let _ = stream.set_nodelay(true);
            // A failure only lets a client that does not read keep its connection.
            let _ = set_tcp_user_timeout(&stream, UNREAD_TIMEOUT_MS);
            let (server, watcher) = (self.clone(), connections.watcher());
            tokio::spawn(async move {
                let _permit = permit;
                match &server.tls {
                    None => server.serve_stream(stream, watcher).await,
                    Some(acceptor) => {
                        // A handshake that fails or times out affects only its client.
                        let handshake = timeout(server.idle, acceptor.accept(stream)).await;
                        if let Ok(Ok(stream)) = handshake {
                            server.serve_stream(stream, watcher).await;
                        }
                    }
                }
            });
        }
    }

    async fn serve_stream(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        watcher: Watcher,
    ) {
        let idle = self.idle;
        let service = TowerToHyperService::new(self.routes.clone());
        let header_timer = HeaderTimer::default();
        let mut server = http1::Builder::new();
        server.timer(header_timer.clone()).header_read_timeout(idle);
        let connection = server.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(watcher.watch(connection));
        let mut tick = pin!(sleep(idle));
        loop {
            tokio::select! {
                // A connection that breaks affects only its client.
                _ = &mut connection => return,
                () = &mut tick => {
                    let next = header_timer.deadline().filter(|at| *at > Instant::now());
                    tick.set(sleep_until(next.unwrap_or(Instant::now() + idle).into()));
                }
            }
        }
    }
}

/// Hyper's timer for the headers of one connection. It only stores the deadline, which
/// [`HttpServer`] checks. A timer of tokio would be armed for every request and wake the thread
/// each time.
#[derive(Clone, Debug, Default)]
struct HeaderTimer(Arc<Mutex<Option<Instant>>>);

impl HeaderTimer {
    fn deadline(&self) -> Option<Instant> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timer for HeaderTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        *self.lock() = Some(deadline);
        Box::pin(HeaderTimeout {
            deadline,
            header_timer: self.clone(),
        })
    }
}

/// The timeout of one header.
struct HeaderTimeout {
    deadline: Instant,
    header_timer: HeaderTimer,
}

impl Sleep for HeaderTimeout {}

impl Future for HeaderTimeout {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Instant::now() < self.deadline {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

impl Drop for HeaderTimeout {
    fn drop(&mut self) {
        *self.header_timer.lock() = None;
    }
}
