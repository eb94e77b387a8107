//! A real Redis.

use std::{
    io::{BufRead, BufReader, ErrorKind},
    net::TcpListener,
    process::{Child, Command, Stdio},
};

/// A `redis-server` on a free port of loopback, which keeps nothing. Dropping it ends it.
pub struct Redis {
    port: u16,
    server: Child,
}

impl Redis {
    /// Starts one, and waits until it is ready.
    pub fn start() -> Redis {
        loop {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            // Another process may have taken the port meanwhile.
            if let Some(server) = start(port) {
                return Redis { port, server };
            }
        }
    }

    /// Where it listens, as `--redis` takes it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills it. All that it held is lost.
    pub fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Starts it again on the same port, with nothing in it.
    pub fn restart(&mut self) {
        self.server = start(self.port).expect("nobody else takes this port");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

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
        ErrorKind::NotFound => panic!("redis-server is not installed: make setup"),
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
