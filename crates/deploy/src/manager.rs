//! What starts frontend and model servers, as processes of this machine or as Docker containers.

use std::{path::Path, rc::Rc, sync::atomic::AtomicBool};

use crate::{
    docker::{Docker, InDocker},
    error::Error,
    member::{Frontend, Member, Server},
    models::KnownModel,
    process::{self, Programs},
    requirements::Place,
};

/// What starts frontends and model servers.
#[derive(Clone, Debug)]
pub enum Manager {
    /// As child processes.
    Process(Programs),
    /// As Docker containers, in a network of their own.
    Docker(Rc<Docker>),
}

/// What a manager is to make ready.
#[derive(Clone, Copy, Debug)]
pub struct ManagerSpec<'a> {
    /// The model that is to be served.
    pub model: &'static KnownModel,
    /// The no-op model is to be served, too.
    pub with_noop: bool,
    /// The engine of the model, if it is not its usual one.
    pub engine: Option<&'a str>,
    /// The model's artifact, if it is not the model server's own.
    pub model_path: Option<&'a str>,
    /// Replicas compute on GPUs.
    pub on_gpus: bool,
    /// Frontend and replicas are Docker containers; `None`: processes.
    pub docker: Option<&'a InDocker>,
}

impl Manager {
    /// Makes ready what is asked for: programs, or images and a network.
    ///
    /// # Errors
    /// If a program, library, artifact or image is missing, a build fails, or the Docker engine does not answer.
    pub fn prepare(spec: &ManagerSpec<'_>) -> Result<Manager, Error> {
        match spec.docker {
            None => {
                let mut packages = vec![spec.model.name];
                if spec.with_noop && packages != ["noop"] {
                    packages.push("noop");
                }
                let folder = process::folder()?;
                let place = Place::here(&folder, spec.model_path);
                let libraries = place.check(spec.model, spec.engine)?;
                let programs = Programs::find(spec.model.name, &packages, spec.engine)?;
                Ok(Manager::Process(Programs {
                    libraries,
                    ..programs
                }))
            }
            Some(asked) => {
                let docker = Docker::prepare(asked, spec.model.name, spec.on_gpus)?;
                Ok(Manager::Docker(Rc::new(docker)))
            }
        }
    }

    /// The same for another model.
    ///
    /// # Errors
    /// If its program or image is missing.
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

    /// Starts a frontend and waits until it answers, for a minute at most; `stop` ends the wait.
    ///
    /// # Errors
    /// If it does not start or answer, or `stop` is set.
    pub fn frontend(
        &self,
        cores: Option<&[usize]>,
        logs: &Path,
        stop: &AtomicBool,
    ) -> Result<Frontend, Error> {
        match self {
            Manager::Process(programs) => process::frontend(&programs.frontend, cores, logs, stop),
            Manager::Docker(docker) => docker.frontend(cores, logs, stop),
        }
    }

    /// Starts a model server of the frontend.
    ///
    /// # Errors
    /// If it does not start, or is not on its cores.
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
