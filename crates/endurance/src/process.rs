//! A child process that can be killed, stopped and looked at.

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

/// A child process. Dropping it kills it; it ends by itself when this program does.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `program`, which knows `--exit_with_stdin`. What it writes is appended to `<name>.log` in `logs`.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[String],
        logs: &Path,
    ) -> anyhow::Result<Process> {
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
            // A group of its own: Ctrl-C is for this program, and if it dies the kernel wakes those that are stopped.
            .process_group(0);
        for (variable, _) in env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"CLIPPER_") {
                command.env_remove(variable);
            }
        }
        Ok(Process {
            name: name.to_owned(),
            child: command.spawn().with_context(failed)?,
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten();
        status.map(|status| status.to_string())
    }

    /// Stops it (SIGSTOP), or lets it go on (SIGCONT).
    pub fn stop(&self, stop: bool) {
        let signal = if stop { Signal::STOP } else { Signal::CONT };
        if let Some(pid) = Pid::from_raw(self.id().cast_signed()) {
            // It fails only if the process has ended, which is noticed elsewhere; the number is its own until it is
            // waited for.
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills it (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ports that are free and stay so while nobody listens: below those that the kernel gives to whoever connects.
pub fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let first = 10_000 + (std::process::id() % 10_000) as u16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let ports: Vec<u16> = (first..32_000).filter(free).take(count).collect();
    anyhow::ensure!(
        ports.len() == count,
        "there are no {count} free ports between {first} and 32000: close some programs"
    );
    Ok(ports)
}
