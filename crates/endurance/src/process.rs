//! A child process that can be killed, stopped and continued.

use std::{
    env,
    fs::File,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// A child process of this program. Dropping it kills the process, which also exits when this program does.
#[derive(Debug)]
pub struct ServerProcess {
    name: String,
    child: Child,
}

impl ServerProcess {
    /// Starts `program`, which must support `--exit_with_stdin`. Its output is appended to `<name>.log` in
    /// `logs`.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[String],
        logs: &Path,
    ) -> anyhow::Result<ServerProcess> {
        let log = logs.join(format!("{name}.log"));
        let file = File::options().append(true).create(true).open(&log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let failed = || format!("cannot start {}", program.display());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg("--exit_with_stdin")
            .stdin(Stdio::piped())
            .stdout(file.try_clone().with_context(failed)?)
            .stderr(file)
            // In its own process group, Ctrl-C does not reach it. If this program dies, the kernel continues
            // stopped processes of the orphaned group.
            .process_group(0);
        for (variable, _) in env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"CLIPPER_") {
                command.env_remove(variable);
            }
        }
        Ok(ServerProcess {
            name: name.to_owned(),
            child: command.spawn().with_context(failed)?,
        })
    }

    /// Name of the process and of its log file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Exit status, if the process has exited.
    pub fn exit_status(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten();
        status.map(|status| status.to_string())
    }

    /// Stops the process (SIGSTOP) or continues it (SIGCONT).
    pub fn set_stopped(&self, stop: bool) {
        let signal = if stop { Signal::STOP } else { Signal::CONT };
        if let Some(pid) = Pid::from_raw(self.id().cast_signed()) {
            // Fails only if the process has exited, which `exit_status` reports. The id stays its own until it
            // has been waited for.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills the process (SIGKILL) and waits for its exit.
    pub fn kill(&mut self) {
        // Both fail only if the process has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Finds free ports below the kernel's ephemeral range, so that no outgoing connection takes them later.
pub fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let first = 10_000 + (std::process::id() % 10_000) as u16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let ports: Vec<u16> = (first..32_000).filter(free).take(count).collect();
    anyhow::ensure!(
        ports.len() == count,
        "found fewer than {count} free ports between {first} and 32000: stop programs that listen there"
    );
    Ok(ports)
}
