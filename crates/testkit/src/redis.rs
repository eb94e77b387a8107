//! A Redis server.

use std::{
    io::{BufRead, BufReader, ErrorKind},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

/// A `redis-server` on a free port of loopback without persistence, which is killed on drop.
pub struct RedisServer {
    port: u16,
    server: Child,
}

impl RedisServer {
    /// Starts a server, and waits until it is ready.
    pub fn start() -> RedisServer {
        loop {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            // Another process may have bound the port in between.
            if let Some(server) = start(port) {
                return RedisServer { port, server };
            }
        }
    }

    /// Returns the address as `HOST:PORT`, the form of `--redis`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills the server, which loses its data.
    pub fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Starts an empty server on the same port.
    pub fn restart(&mut self) {
        self.server = start(self.port).expect("the port is still free");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // Fails if the server was killed before.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Starts a server; returns `None` if it exits, as it does when the port is in use.
fn start(port: u16) -> Option<Child> {
    let port = port.to_string();
    let arguments = [
        ["--port", &port],
        ["--bind", "127.0.0.1"],
        ["--save", ""],
        ["--appendonly", "no"],
    ];
    let started = Command::new("redis-server")
        .args(arguments.as_flattened())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut server = started.unwrap_or_else(|error| match error.kind() {
        ErrorKind::NotFound => panic!("redis-server is not installed: run `make setup`"),
        _ => panic!("cannot start redis-server: {error}"),
    });
    let output = server.stdout.take().unwrap();
    let mut lines = BufReader::new(output).lines();
    if lines.any(|line| line.unwrap().contains("Ready to accept connections")) {
        return Some(server);
    }
    server.wait().unwrap();
    None
}
