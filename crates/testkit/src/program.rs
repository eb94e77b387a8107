//! A frontend in a separate process.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use frontend::Frontend;
use wire::BoundPorts;

use crate::settings::free_ports;

/// A frontend in the test's process or in a separate one.
pub trait HasPorts {
    /// Returns the bound ports.
    fn ports(&self) -> BoundPorts;
}

impl HasPorts for Frontend {
    fn ports(&self) -> BoundPorts {
        Frontend::ports(self)
    }
}

/// A frontend in a separate process, which is killed on drop.
pub struct FrontendProcess {
    process: Child,
    ports: BoundPorts,
}

impl FrontendProcess {
    /// Starts `program` with `flags` on free ports, and waits until it is ready.
    pub fn start(program: &str, flags: &[&str]) -> FrontendProcess {
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
        FrontendProcess { process, ports }
    }

    /// Returns the process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl HasPorts for FrontendProcess {
    fn ports(&self) -> BoundPorts {
        self.ports
    }
}

impl Drop for FrontendProcess {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
