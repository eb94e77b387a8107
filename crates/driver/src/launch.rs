//! What starts frontend and model servers, as processes of this machine or as Docker containers, and stops them again.

pub mod docker;
pub mod process;
mod requirements;

use std::{
    fmt::Debug,
    fs,
    net::IpAddr,
    path::Path,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use host::cores;
use model::Device;
use serde::Deserialize;
use wire::rpc::Metadata;

use crate::{Error, settings::Settings};
use docker::Docker;
use process::Programs;
use requirements::Place;

/// What starts frontends and model servers.
#[derive(Clone, Debug)]
pub enum Manager {
    /// As child processes.
    Process(Programs),
    /// As Docker containers, in a network of their own.
    Docker(Rc<Docker>),
}

/// A model server that is to be started.
#[derive(Clone, Debug)]
pub struct Server<'a> {
    /// What it is called in messages and by its log.
    pub name: String,
    /// What it is told: flags without their dashes, which are the names of its variables without `CLIPPER_` in small letters.
    pub told: Vec<(&'static str, String)>,
    /// Its artifact, if not its own.
    pub model_path: Option<&'a Path>,
    /// Where it computes.
    pub device: Device,
    /// Its cores; `None`: those of the driver.
    pub cores: Option<&'a [usize]>,
}

impl Manager {
    /// Makes ready what the settings ask for: programs, or images and a network.
    pub fn prepare(settings: &Settings) -> Result<Manager, Error> {
        match &settings.docker {
            None => {
                let mut packages = vec![settings.model.name];
                if settings.zero && packages != ["noop"] {
                    packages.push("noop");
                }
                let folder = process::folder()?;
                let place = Place::here(&folder, settings.model_path.as_deref());
                let libraries = place.check(settings.model, settings.engine)?;
                let programs = Programs::find(settings.model.name, &packages, settings.engine)?;
                Ok(Manager::Process(Programs {
                    libraries,
                    ..programs
                }))
            }
            Some(asked) => Ok(Manager::Docker(Rc::new(Docker::prepare(asked, settings)?))),
        }
    }

    /// The same for another model.
    pub fn with_model(&self, model: &'static str) -> Result<Manager, Error> {
        match self {
            Manager::Process(programs) => programs.with_server(model).map(Manager::Process),
            Manager::Docker(docker) => {
                let docker = docker.with_model(model)?;
                Ok(Manager::Docker(Rc::new(docker)))
            }
        }
    }

    /// How it is called in results.
    pub fn describe(&self) -> String {
        match self {
            Manager::Process(_) => "process".to_owned(),
            Manager::Docker(docker) => docker.describe(),
        }
    }

    /// What a model server is started from: the program's name, or the image's and its id.
    pub fn model_image(&self) -> String {
        match self {
            Manager::Process(programs) => {
                let name = programs.server.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
            Manager::Docker(docker) => docker.model_image(),
        }
    }

    /// Starts a frontend and waits until it answers, for a minute at most; `interrupted` ends the wait.
    pub fn frontend(
        &self,
        cores: Option<&[usize]>,
        logs: &Path,
        interrupted: &dyn Fn() -> Result<(), Error>,
    ) -> Result<Frontend, Error> {
        match self {
            Manager::Process(programs) => {
                process::frontend(&programs.frontend, cores, logs, interrupted)
            }
            Manager::Docker(docker) => docker.frontend(cores, logs, interrupted),
        }
    }

    /// Starts a model server of the frontend.
    pub fn server(
        &self,
        server: Server<'_>,
        frontend: &Frontend,
        logs: &Path,
    ) -> Result<Box<dyn Member>, Error> {
        match self {
            Manager::Process(programs) => process::server(programs, server, frontend, logs),
            Manager::Docker(docker) => docker.server(server, frontend, logs),
        }
    }
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
    fn cores(&self) -> Result<Vec<usize>, Error> {
        cores::of_process(self.pid()).map_err(|error| {
            Error::Failed(format!("cannot read the cores of {}: {error}", self.name()))
        })
    }

    /// An error if it has ended, with the last lines that it wrote. `when` completes "... ended".
    fn check(&mut self, when: &str) -> Result<(), Error> {
        let Some(how) = self.ended() else {
            return Ok(());
        };
        Err(Error::Failed(format!(
            "{} exited {when} ({how}). The last lines of its log:\n{}\n    (the log is {})",
            self.name(),
            last_lines(self.log()),
            self.log().display()
        )))
    }

    /// An error unless the kernel holds it on the cores that were asked for.
    fn check_cores(&self, asked: Option<&[usize]>) -> Result<(), Error> {
        let Some(asked) = asked else {
            return Ok(());
        };
        let got = self.cores()?;
        match got == asked {
            true => Ok(()),
            false => Err(Error::Failed(format!(
                "{} was to run on cores {}, but the kernel lets it run on {}: choose other --model_cpus",
                self.name(),
                cores::show(asked),
                cores::show(&got)
            ))),
        }
    }
}

/// Asks them to stop in good order, waits for some seconds, then kills those that are left.
pub fn stop(members: &mut [Box<dyn Member>]) {
    for member in members.iter_mut() {
        member.ask_to_stop();
    }
    let limit = Instant::now() + Duration::from_secs(5);
    while Instant::now() < limit && members.iter_mut().any(|member| member.is_running()) {
        thread::sleep(Duration::from_millis(5));
    }
    members.iter_mut().for_each(|member| member.kill());
}

/// The ports of a frontend. One in a process of this machine prints them as a line of JSON.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Ports {
    /// REST queries and metrics.
    pub query_port: u16,
    /// REST administration.
    pub admin_port: u16,
    /// Model servers.
    pub rpc_service_port: u16,
    /// ZeroMQ clients: connecting, and answers to them.
    pub send_port: u16,
    /// ZeroMQ clients: their requests.
    pub recv_port: u16,
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
    pub ports: Ports,
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
