//! The managers: they start frontends and model servers as child processes or Docker containers.

use std::{path::Path, rc::Rc, sync::atomic::AtomicBool};

use crate::{
    docker::{Docker, DockerSettings},
    error::Error,
    handle::{FrontendHandle, Handle, ModelServerSpec},
    models::KnownModel,
    process::{self, Programs},
    requirements::SearchPaths,
};

/// Starts frontends and model servers.
#[derive(Clone, Debug)]
pub enum Manager {
    /// Starts child processes.
    Process(Programs),
    /// Starts Docker containers in a network of their own.
    Docker(Rc<Docker>),
}

/// Specification of what a manager prepares.
#[derive(Clone, Copy, Debug)]
pub struct ManagerSpec<'a> {
    /// Model to serve.
    pub model: &'static KnownModel,
    /// Serve the no-op model as well, for the baseline.
    pub with_noop: bool,
    /// Inference engine; `None`: the model's default.
    pub engine: Option<&'a str>,
    /// Path of the model's artifact; `None`: the model server's default.
    pub model_path: Option<&'a str>,
    /// Run the replicas on GPUs.
    pub on_gpus: bool,
    /// Settings of a deployment with Docker; `None`: child processes.
    pub docker: Option<&'a DockerSettings>,
}

impl Manager {
    /// Finds or builds the programs, or finds the images and creates a Docker network.
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
                let folder = process::program_folder()?;
                let paths = SearchPaths::new(&folder, spec.model_path);
                let libraries = paths.check(spec.model, spec.engine)?;
                let programs = Programs::find(spec.model.name, &packages, spec.engine)?;
                Ok(Manager::Process(Programs {
                    libraries,
                    ..programs
                }))
            }
            Some(settings) => {
                let docker = Docker::prepare(settings, spec.model.name, spec.on_gpus)?;
                Ok(Manager::Docker(Rc::new(docker)))
            }
        }
    }

    /// Returns this manager with the model server of another model.
    ///
    /// # Errors
    /// If the model's program or image is missing.
    pub fn with_model(&self, model: &'static str) -> Result<Manager, Error> {
        match self {
            Manager::Process(programs) => programs.with_model(model).map(Manager::Process),
            Manager::Docker(docker) => {
                let docker = docker.with_model(model)?;
                Ok(Manager::Docker(Rc::new(docker)))
            }
        }
    }

    /// Name of the manager in results, for instance `process` or `docker 27.1.1`.
    pub fn describe(&self) -> String {
        match self {
            Manager::Process(_) => "process".to_owned(),
            Manager::Docker(docker) => docker.describe(),
        }
    }

    /// Name of the model server's program, or name and id of its image.
    pub fn model_image(&self) -> String {
        match self {
            Manager::Process(programs) => {
                let name = programs.server.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
            Manager::Docker(docker) => docker.model_image(),
        }
    }

    /// Starts a frontend and waits until it answers, for 60 s at most; setting `stop` ends the wait.
    ///
    /// # Errors
    /// If it does not start or answer, or `stop` is set.
    pub fn start_frontend(
        &self,
        cores: Option<&[usize]>,
        logs: &Path,
        stop: &AtomicBool,
    ) -> Result<FrontendHandle, Error> {
        match self {
            Manager::Process(programs) => {
                process::start_frontend(&programs.frontend, cores, logs, stop)
            }
            Manager::Docker(docker) => docker.start_frontend(cores, logs, stop),
        }
    }

    /// Starts a model server.
    ///
    /// # Errors
    /// If it does not start, or the kernel does not pin it to its cores.
    pub fn start_replica(
        &self,
        server: ModelServerSpec<'_>,
        logs: &Path,
    ) -> Result<Box<dyn Handle>, Error> {
        match self {
            Manager::Process(programs) => process::start_replica(programs, server, logs),
            Manager::Docker(docker) => docker.start_replica(server, logs),
        }
    }
}
