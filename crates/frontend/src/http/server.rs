//! Connections: how long they may take, and what they speak.

use std::{io, net::TcpListener, time::Duration};

use axum::{Router, serve::Listener};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};

/// Serves every connection that comes; one on which no request's header comes for so long is closed.
pub(super) async fn serve(listener: TcpListener, routes: Router, idle: Duration) -> io::Error {
    let mut listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(idle);
    loop {
        let (stream, _) = Listener::accept(&mut listener).await;
        // Without it answers are only later.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(routes.clone());
        let connection = server.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // A connection that breaks concerns nobody but its client.
            let _ = connection.await;
        });
    }
}
