//! Connections: how long they may take, and what they speak.

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

/// Milliseconds after which a client that does not take its answer is gone.
const UNREAD: u32 = 30_000;

/// What a connection gets, and how long it may take.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) routes: Router,
    /// A connection on which no request's header comes for so long is closed.
    pub(super) idle: Duration,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) permits: Permits,
    pub(super) drop_log: DropLog,
}

impl Server {
    /// Serves every connection that comes.
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
                let what =
                    "an HTTP connection, of which it has as many as one may (--max_connections)";
                self.drop_log.add(&address.ip(), &what);
                continue;
            };
            // Without it answers are only later.
            let _ = stream.set_nodelay(true);
            // Without it they could wait for ever.
            let _ = set_tcp_user_timeout(&stream, UNREAD);
            let (server, watcher) = (self.clone(), connections.watcher());
            tokio::spawn(async move {
                let _permit = permit;
                match &server.tls {
                    None => server.attend(stream, watcher).await,
                    Some(acceptor) => {
                        // A handshake that fails or takes too long concerns nobody but its client.
                        let shaken = timeout(server.idle, acceptor.accept(stream)).await;
                        if let Ok(Ok(stream)) = shaken {
                            server.attend(stream, watcher).await;
                        }
                    }
                }
            });
        }
    }

    async fn attend(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        watcher: Watcher,
    ) {
        let idle = self.idle;
        let service = TowerToHyperService::new(self.routes.clone());
        let patience = Patience::default();
        let mut server = http1::Builder::new();
        server.timer(patience.clone()).header_read_timeout(idle);
        let connection = server.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(watcher.watch(connection));
        let mut tick = pin!(sleep(idle));
        loop {
            tokio::select! {
                // A connection that breaks concerns nobody but its client.
                _ = &mut connection => return,
                () = &mut tick => {
                    let next = patience.ends().filter(|at| *at > Instant::now());
                    tick.set(sleep_until(next.unwrap_or(Instant::now() + idle).into()));
                }
            }
        }
    }
}

/// Hyper's timer on one connection: it says when the patience for a header ends, and [`Server`] looks then. Tokio's would be armed for
/// every request, and wake the thread each time.
#[derive(Clone, Debug, Default)]
struct Patience(Arc<Mutex<Option<Instant>>>);

impl Patience {
    fn ends(&self) -> Option<Instant> {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        *self.lock() = Some(deadline);
        Box::pin(Waiting {
            deadline,
            patience: self.clone(),
        })
    }
}

/// While a header is waited for.
struct Waiting {
    deadline: Instant,
    patience: Patience,
}

impl Sleep for Waiting {}

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Instant::now() < self.deadline {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        *self.patience.lock() = None;
    }
}
