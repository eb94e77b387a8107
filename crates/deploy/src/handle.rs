//! Handles of started frontends and model servers, independent of the manager that started them.

use std::{
    fmt::Debug,
    fs,
    net::IpAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use host::cores;
use model::Device;
use wire::{BoundPorts, rpc::Metadata};

use crate::error::Error;

/// Specification of a model server to start.
#[derive(Clone, Debug)]
pub struct ModelServerSpec<'a> {
    /// Name in messages and of the log file, for instance `vgg-0`.
    pub name: String,
    /// Flags with their values. The names have no dashes; in upper case and with the prefix `CLIPPER_`
    /// they are the environment variables of the same meaning.
    pub args: Vec<(&'static str, String)>,
    /// Path of the model's artifact; `None`: the model server's default.
    pub model_path: Option<&'a Path>,
    /// Device that the model runs on.
    pub device: Device,
    /// Cores to pin the model server to; `None`: those of the driver.
    pub cores: Option<&'a [usize]>,
}

/// A started frontend or model server. Dropping the handle kills the process if it still runs.
pub trait Handle: Debug {
    /// Name in messages and of the log file.
    fn name(&self) -> &str;

    /// Path of the log file, which receives the output.
    fn log(&self) -> &Path;

    /// Process id on this machine.
    fn pid(&self) -> u32;

    /// Returns true if the metadata of a registration came from this model server.
    fn matches(&self, registered: &Metadata) -> bool;

    /// Exit status of the first exit that the driver did not request; `None` without one.
    fn exit_status(&mut self) -> Option<String>;

    /// Returns true while the process runs, also after a restart.
    fn is_running(&mut self) -> bool;

    /// Sends SIGTERM, so that the process stops gracefully.
    fn terminate(&mut self);

    /// Kills the process and removes its container, if it has one.
    fn kill(&mut self);

    /// Cores that the kernel allows the process to run on.
    ///
    /// # Errors
    /// If the process has exited.
    fn cores(&self) -> Result<Vec<usize>, Error> {
        cores::of_process(self.pid()).map_err(|error| {
            Error::Process(format!(
                "cannot read the CPU affinity of {}: {error}",
                self.name()
            ))
        })
    }

    /// Checks that the process has not exited.
    ///
    /// # Errors
    /// If it has, with the last lines of its log; `when` completes "... exited".
    fn check(&mut self, when: &str) -> Result<(), Error> {
        let Some(status) = self.exit_status() else {
            return Ok(());
        };
        Err(Error::Process(format!(
            "{} exited {when} ({status}). The last lines of its log:\n{}\n    (full log: {})",
            self.name(),
            last_lines(self.log()),
            self.log().display()
        )))
    }

    /// Checks that the kernel has pinned the process to the `requested` cores; `None` accepts any.
    ///
    /// # Errors
    /// If the kernel allows other cores.
    fn check_cores(&self, requested: Option<&[usize]>) -> Result<(), Error> {
        let Some(requested) = requested else {
            return Ok(());
        };
        let allowed = self.cores()?;
        match allowed == requested {
            true => Ok(()),
            false => Err(Error::Process(format!(
                "cannot pin {} to cores {}: the kernel allows it cores {}; choose other --model_cpus",
                self.name(),
                cores::show(requested),
                cores::show(&allowed)
            ))),
        }
    }
}

/// Terminates all processes, waits up to 5 s for them to exit, then kills the rest.
pub(crate) fn stop_all(handles: &mut [Box<dyn Handle>]) {
    for handle in handles.iter_mut() {
        handle.terminate();
    }
    let limit = Instant::now() + Duration::from_secs(5);
    while Instant::now() < limit && handles.iter_mut().any(|handle| handle.is_running()) {
        thread::sleep(Duration::from_millis(5));
    }
    handles.iter_mut().for_each(|handle| handle.kill());
}

/// A frontend that accepts queries.
#[derive(Debug)]
pub struct FrontendHandle {
    /// Handle of its process or container.
    pub handle: Box<dyn Handle>,
    /// Address that the driver connects to.
    pub address: IpAddr,
    /// Address or host name that model servers connect to.
    pub replica_host: String,
    /// Ports that the frontend listens on.
    pub ports: BoundPorts,
}

/// Returns the last 12 lines of a log that are not empty, indented for an error message.
fn last_lines(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(12)..];
    match last {
        [] => "    (the log is empty)".to_owned(),
        last => last
            .iter()
            .map(|line| format!("    {line}"))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}
