//! A model server in a separate process.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStderr, Command, Stdio},
};

use crate::{HasPorts, replicas, wait_until};

/// RPC version of a model server, which selects the frontend's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rpc {
    /// Version 4, of this project.
    V4,
    /// Version 3, of Clipper's final release.
    V3,
    /// Clipper's version of 2017.
    V2017,
    /// The version of Clipper's high-performance branch.
    HighPerf,
}

impl Rpc {
    /// All versions.
    pub const ALL: [Rpc; 4] = [Rpc::V4, Rpc::V3, Rpc::V2017, Rpc::HighPerf];

    fn flags(self, frontend: &impl HasPorts) -> Vec<String> {
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

/// A model server in a separate process, which is killed on drop.
pub struct ModelServer {
    process: Child,
    /// Log lines until the model server connected.
    pub log: Vec<String>,
    _stderr: BufReader<ChildStderr>,
}

impl ModelServer {
    /// Starts `program` as the only replica of model `m`, and waits until it is registered.
    ///
    /// `customize` adds flags and environment variables.
    pub fn start(
        program: &str,
        frontend: &impl HasPorts,
        rpc: Rpc,
        customize: impl FnOnce(&mut Command) -> &mut Command,
    ) -> ModelServer {
        let mut command = Command::new(program);
        command
            .arg("--model_name=m")
            .args(rpc.flags(frontend))
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped());
        let mut process = customize(&mut command).spawn().unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let mut log = Vec::new();
        while !(log.last()).is_some_and(|line: &String| line.contains("connecting to the frontend"))
        {
            let mut line = String::new();
            let read = stderr.read_line(&mut line).unwrap();
            assert!(read > 0, "{program} exited before it connected: {log:?}");
            log.push(line);
        }
        wait_until("the model server is registered", || {
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
        // Fails if the process has already exited.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
