//! Frontend and model servers as Docker containers, in a network of their own.
//!
//! The driver connects to the frontend's address in that network, as the replicas do: a published port
//! would add a proxy. A container's standard input is a stream from the driver; the container exits when
//! the stream closes, so a killed driver leaves no container running. [`clean`] removes the stopped ones.

mod container;
mod engine;

use std::{
    collections::HashMap,
    path::Path,
    rc::Rc,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use bollard::models::{
    ContainerCreateBody, DeviceRequest, HealthConfig, HostConfig, ResourcesUlimits,
};
use host::cores;
use model::Device;
use serde::Serialize;
use wire::BoundPorts;

use crate::{
    admin::Admin,
    error::{Error, check_stop},
    handle::{FrontendHandle, Handle, ModelServerSpec},
};
use container::DockerContainer;
use engine::DockerEngine;

pub use engine::clean;

/// Ports of a frontend in a container: Clipper's, because the container has its own address.
const PORTS: BoundPorts = BoundPorts::DEFAULT;

/// Folder in the container at which the folder of a given artifact is mounted.
const MODEL_FOLDER: &str = "/model";

/// Settings of a deployment with Docker.
#[derive(Clone, Debug, Serialize)]
pub struct DockerSettings {
    /// Image of the model server; `None`: the one that `docker/build_docker_images.sh` builds.
    pub image: Option<String>,
    /// Image of the frontend.
    pub frontend_image: String,
    /// Memory limit of a replica, in MiB.
    pub replica_memory_mib: Option<usize>,
}

/// Starts containers.
#[derive(Debug)]
pub struct Docker {
    engine: Rc<DockerEngine>,
    settings: DockerSettings,
    /// Image of the model server.
    image: Image,
}

/// An image that the engine has.
#[derive(Clone, Debug)]
struct Image {
    name: String,
    id: String,
}

impl Docker {
    /// Connects to the engine, finds the images, and creates a network.
    ///
    /// # Errors
    /// If the engine does not answer, or an image is missing.
    pub(crate) fn prepare(
        settings: &DockerSettings,
        model: &str,
        on_gpus: bool,
    ) -> Result<Docker, Error> {
        let engine = DockerEngine::connect()?;
        let image = match (&settings.image, on_gpus) {
            (Some(image), _) => image.clone(),
            (None, false) => default_image(model),
            (None, true) => format!("{}:latest-cuda", default_image(model)),
        };
        engine.image_id(&settings.frontend_image)?;
        let id = engine.image_id(&image)?;
        engine.create_network()?;
        Ok(Docker {
            engine: Rc::new(engine),
            settings: settings.clone(),
            image: Image { name: image, id },
        })
    }

    /// Returns this manager with the default image of another model.
    pub(crate) fn with_model(&self, model: &str) -> Result<Docker, Error> {
        let image = default_image(model);
        let id = self.engine.image_id(&image)?;
        Ok(Docker {
            engine: self.engine.clone(),
            settings: self.settings.clone(),
            image: Image { name: image, id },
        })
    }

    /// Name and version of the engine.
    pub(crate) fn describe(&self) -> String {
        format!("docker {}", self.engine.version)
    }

    /// Name and shortened id of the model server's image.
    pub(crate) fn model_image(&self) -> String {
        let Image { name, id } = &self.image;
        let id = id.strip_prefix("sha256:").unwrap_or(id);
        format!("{name} ({})", id.get(..12).unwrap_or(id))
    }

    /// Starts a frontend and waits until it answers.
    pub(crate) fn start_frontend(
        &self,
        cores: Option<&[usize]>,
        logs: &Path,
        stop: &AtomicBool,
    ) -> Result<FrontendHandle, Error> {
        let name = "frontend".to_owned();
        let body = ContainerCreateBody {
            image: Some(self.settings.frontend_image.clone()),
            ..self.body(cores, HostConfig::default())
        };
        let mut container = DockerContainer::start(&self.engine, name, body, logs, false)?;
        container.check_cores(cores)?;
        let address = container.address()?;
        let admin = Admin::new(address, PORTS);
        let start = Instant::now();
        while !admin.answers() {
            check_stop(stop)?;
            container.check("during start-up")?;
            if start.elapsed() > Duration::from_secs(60) {
                return Err(Error::Frontend(format!(
                    "the frontend does not answer at {address} after 60 s: check that the Docker engine runs on this machine"
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(FrontendHandle {
            address,
            replica_host: container.full_name.clone(),
            handle: Box::new(container),
            ports: PORTS,
        })
    }

    /// Starts a model server.
    pub(crate) fn start_replica(
        &self,
        server: ModelServerSpec<'_>,
        logs: &Path,
    ) -> Result<Box<dyn Handle>, Error> {
        let mut args = server.args;
        // A container sees only its own GPUs, numbered from 0.
        let (device, gpus) = match server.device {
            Device::Cpu => (Device::Cpu, None),
            Device::Cuda(gpu) => (Device::Cuda(0), Some(vec![device_request(gpu)])),
        };
        args.push(("device", device.to_string()));
        let mut binds = None;
        if let Some(path) = server.model_path {
            let (bind, inside) = mount(path)?;
            args.push(("model_path", inside));
            binds = Some(vec![bind]);
        }
        let args = args.into_iter();
        let env = args.map(|(flag, value)| format!("CLIPPER_{}={value}", flag.to_uppercase()));
        let bytes = |mib: usize| i64::try_from(mib << 20).unwrap_or(i64::MAX);
        let memory = self.settings.replica_memory_mib.map(bytes);
        let limits = HostConfig {
            memory,
            // Without swap, a replica beyond its limit is killed, which is visible, instead of slow.
            memory_swap: memory,
            device_requests: gpus,
            binds,
            ..HostConfig::default()
        };
        let body = ContainerCreateBody {
            image: Some(self.image.name.clone()),
            env: Some(env.collect()),
            ..self.body(server.cores, limits)
        };
        let container = DockerContainer::start(&self.engine, server.name, body, logs, true)?;
        container.check_cores(server.cores)?;
        Ok(Box::new(container))
    }

    /// Returns the options that all containers have in common.
    fn body(&self, cores: Option<&[usize]>, limits: HostConfig) -> ContainerCreateBody {
        ContainerCreateBody {
            cmd: Some(vec!["--exit_with_stdin".to_owned()]),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            // A health check runs a process in the container every few seconds; registration is proof enough.
            healthcheck: Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            }),
            labels: Some(HashMap::from(self.engine.labels())),
            host_config: Some(HostConfig {
                cpuset_cpus: cores.map(cores::show),
                network_mode: Some(self.engine.network.clone()),
                readonly_rootfs: Some(true),
                ulimits: Some(vec![ResourcesUlimits {
                    name: Some("core".to_owned()),
                    soft: Some(0),
                    hard: Some(0),
                }]),
                ..limits
            }),
            ..ContainerCreateBody::default()
        }
    }
}

/// Returns the image that `docker/build_docker_images.sh` builds for a model.
fn default_image(model: &str) -> String {
    format!("model-comp/{model}")
}

fn device_request(gpu: u32) -> DeviceRequest {
    DeviceRequest {
        driver: Some("nvidia".to_owned()),
        device_ids: Some(vec![gpu.to_string()]),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    }
}

/// Returns the bind mount for the folder of an artifact, which may also hold its metadata, and the
/// artifact's path in the container.
fn mount(path: &Path) -> Result<(String, String), Error> {
    let failed = |error| Error::file("read", path, error);
    let path = path.canonicalize().map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    Ok((
        format!("{}:{MODEL_FOLDER}:ro", folder.display()),
        format!("{MODEL_FOLDER}/{file}"),
    ))
}
