//! A frontend in a process of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use frontend::Frontend;
use wire::BoundPorts;

use crate::settings::free_ports;

/// A frontend, wherever it runs.
pub trait Serves {
    /// Its ports.
    fn ports(&self) -> BoundPorts;
}

impl Serves for Frontend {
    fn ports(&self) -> BoundPorts {
        Frontend::ports(self)
    }
}

/// A frontend in a process of its own. Dropping it kills it.
pub struct Program {
    process: Child,
    ports: BoundPorts,
}

impl Program {
    /// Starts `program` with free ports and these flags, and waits until it is ready.
    pub fn start(program: &str, flags: &[&str]) -> Program {
        let mut process = Command::new(program)
            .args(free_ports())
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = process.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let ports = serde_json::from_str(&line).unwrap();
        Program { process, ports }
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Serves for Program {
    fn ports(&self) -> BoundPorts {
        self.ports
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
