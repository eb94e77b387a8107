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
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::time::{sleep, sleep_until};

/// Serves every connection that comes; one on which no request's header comes for so long is closed.
pub(super) async fn serve(listener: TcpListener, routes: Router, idle: Duration) -> io::Error {
    let mut listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    loop {
        let (stream, _) = Listener::accept(&mut listener).await;
        // Without it answers are only later.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(routes.clone());
        let patience = Patience::default();
        let mut server = http1::Builder::new();
        server.timer(patience.clone()).header_read_timeout(idle);
        let connection = server.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            let mut connection = pin!(connection);
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
        });
    }
}

/// Hyper's timer on one connection: it says when the patience for a header ends, and [`serve`] looks then. Tokio's would be armed for
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
