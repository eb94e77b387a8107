//! One frontend or model server that has been started, whatever started it.

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

/// A model server that is to be started.
#[derive(Clone, Debug)]
pub struct Server<'a> {
    /// What it is called in messages and by its log.
    pub name: String,
    /// What it is told: flags without their dashes, which are the names of its variables without `CLIPPER_` in small
    /// letters.
    pub told: Vec<(&'static str, String)>,
    /// Its artifact, if not its own.
    pub model_path: Option<&'a Path>,
    /// Where it computes.
    pub device: Device,
    /// Its cores; `None`: those of the driver.
    pub cores: Option<&'a [usize]>,
}

/// A frontend or model server that has been started. Dropping it kills it, if it still runs.
pub trait Member: Debug {
    /// What it is called in messages and by its log.
    fn name(&self) -> &str;

    /// Its output.
    fn log(&self) -> &Path;

    /// Its process id on this machine.
    fn pid(&self) -> u32;

    /// True if it is the model server that registered with this.
    fn is(&self, registered: &Metadata) -> bool;

    /// How it ended, if it ever did.
    fn ended(&mut self) -> Option<String>;

    /// True unless it has ended, and has not been started again.
    fn is_running(&mut self) -> bool;

    /// Asks it to stop in good order.
    fn ask_to_stop(&mut self);

    /// Ends it, and removes what is left of it.
    fn kill(&mut self);

    /// The cores that the kernel lets it run on.
    ///
    /// # Errors
    /// If it has ended.
    fn cores(&self) -> Result<Vec<usize>, Error> {
        cores::of_process(self.pid()).map_err(|error| {
            Error::Member(format!("cannot read the cores of {}: {error}", self.name()))
        })
    }

    /// Checks that it has not ended.
    ///
    /// # Errors
    /// If it has, with the last lines that it wrote; `when` completes "... ended".
    fn check(&mut self, when: &str) -> Result<(), Error> {
        let Some(how) = self.ended() else {
            return Ok(());
        };
        Err(Error::Member(format!(
            "{} exited {when} ({how}). The last lines of its log:\n{}\n    (the log is {})",
            self.name(),
            last_lines(self.log()),
            self.log().display()
        )))
    }

    /// Checks its cores.
    ///
    /// # Errors
    /// If the kernel does not hold it on the cores that were `asked` for.
    fn check_cores(&self, asked: Option<&[usize]>) -> Result<(), Error> {
        let Some(asked) = asked else {
            return Ok(());
        };
        let got = self.cores()?;
        match got == asked {
            true => Ok(()),
            false => Err(Error::Member(format!(
                "{} was to run on cores {}, but the kernel lets it run on {}: choose other --model_cpus",
                self.name(),
                cores::show(asked),
                cores::show(&got)
            ))),
        }
    }
}

/// Asks them to stop in good order, waits for some seconds, then kills those that are left.
pub(crate) fn stop_all(members: &mut [Box<dyn Member>]) {
    for member in members.iter_mut() {
        member.ask_to_stop();
    }
    let limit = Instant::now() + Duration::from_secs(5);
    while Instant::now() < limit && members.iter_mut().any(|member| member.is_running()) {
        thread::sleep(Duration::from_millis(5));
    }
    members.iter_mut().for_each(|member| member.kill());
}

/// A frontend that is ready.
#[derive(Debug)]
pub struct Frontend {
    /// Its process or container.
    pub member: Box<dyn Member>,
    /// Where the driver finds it.
    pub address: IpAddr,
    /// Where model servers find it.
    pub name_for_servers: String,
    /// Its ports.
    pub ports: BoundPorts,
}

/// The end of a log, indented, for an error message.
fn last_lines(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(12)..];
    match last {
        [] => "    (it wrote nothing)".to_owned(),
        last => last
            .iter()
            .map(|line| format!("    {line}"))
            .collect::<Vec<_>>()
            .join("\n"),
    }
}
