//! A model server in a process of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStderr, Command, Stdio},
};

use crate::{Serves, replicas, until};

/// How a model server reaches a frontend: its RPC version, and the ports for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rpc {
    /// Our version 4.
    V4,
    /// Version 3, of Clipper's final release.
    V3,
    /// The dialect of 2017.
    V2017,
    /// The high-performance branch's.
    HighPerf,
}

impl Rpc {
    /// All of them.
    pub const ALL: [Rpc; 4] = [Rpc::V4, Rpc::V3, Rpc::V2017, Rpc::HighPerf];

    fn flags(self, frontend: &impl Serves) -> Vec<String> {
        let ports = frontend.ports();
        let (version, port) = match self {
            Rpc::V4 => ("4", ports.rpc_service_port),
            Rpc::V3 => ("3", ports.rpc_service_port),
            Rpc::V2017 => ("2017", ports.rpc_2017_port),
            Rpc::HighPerf => ("highperf", ports.rpc_send_port),
        };
        vec![
            format!("--rpc_version={version}"),
            format!("--port={port}"),
            format!("--recv_port={}", ports.rpc_recv_port),
        ]
    }
}

/// A model server in a process of its own. Dropping it kills it.
pub struct ModelServer {
    process: Child,
    /// What it has logged until it connected, line by line.
    pub log: Vec<String>,
    _stderr: BufReader<ChildStderr>,
}

impl ModelServer {
    /// Starts `program` as the only replica of model `m` of a frontend, and waits until it has registered.
    ///
    /// `command` adds flags and variables.
    pub fn start(
        program: &str,
        frontend: &impl Serves,
        rpc: Rpc,
        command: impl FnOnce(&mut Command) -> &mut Command,
    ) -> ModelServer {
        let mut start = Command::new(program);
        start
            .arg("--model_name=m")
            .args(rpc.flags(frontend))
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped());
        let mut process = command(&mut start).spawn().unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let mut log = Vec::new();
        while !(log.last()).is_some_and(|line: &String| line.contains("connecting to the frontend"))
        {
            let mut line = String::new();
            let read = stderr.read_line(&mut line).unwrap();
            assert!(read > 0, "{program} has ended: {log:?}");
            log.push(line);
        }
        until("the model server registers", || {
            replicas(frontend).contains("replica_id").then_some(())
        });
        ModelServer {
            process,
            log,
            _stderr: stderr,
        }
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
