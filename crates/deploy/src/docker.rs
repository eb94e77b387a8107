//! Frontend and model servers as Docker containers, in a network of their own.
//!
//! The driver reaches the frontend at its address in that network, as the replicas do: a published port would put a
//! proxy in between. A container holds the reading end of a stream from the driver and exits when that closes, so a
//! killed driver leaves nothing that runs; [`clean`] removes the rest.

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
    member::{Frontend, Member, Server},
};
use container::Container;
use engine::Engine;

pub use engine::clean;

/// The ports of a frontend in a container, which has an address of its own: Clipper's.
const PORTS: BoundPorts = BoundPorts::DEFAULT;

/// Where the folder of an artifact is mounted that is not the image's own.
const MODEL_FOLDER: &str = "/model";

/// What to start with Docker.
#[derive(Clone, Debug, Serialize)]
pub struct InDocker {
    /// The model server's image, if not the one that is built for it here.
    pub image: Option<String>,
    /// The frontend's image.
    pub frontend_image: String,
    /// The memory that a replica may take, in MiB.
    pub replica_memory_mib: Option<usize>,
}

/// What starts containers.
#[derive(Debug)]
pub struct Docker {
    engine: Rc<Engine>,
    asked: InDocker,
    /// The model server's image.
    image: Image,
}

/// An image at the engine.
#[derive(Clone, Debug)]
struct Image {
    name: String,
    id: String,
}

impl Docker {
    /// Finds the engine and the images, and makes a network.
    ///
    /// # Errors
    /// If the engine does not answer, or an image is missing.
    pub(crate) fn prepare(asked: &InDocker, model: &str, on_gpus: bool) -> Result<Docker, Error> {
        let engine = Engine::connect()?;
        let image = match (&asked.image, on_gpus) {
            (Some(image), _) => image.clone(),
            (None, false) => image_of(model),
            (None, true) => format!("{}:latest-cuda", image_of(model)),
        };
        engine.image_id(&asked.frontend_image)?;
        let id = engine.image_id(&image)?;
        engine.make_network()?;
        Ok(Docker {
            engine: Rc::new(engine),
            asked: asked.clone(),
            image: Image { name: image, id },
        })
    }

    /// The same with another model's own image.
    pub(crate) fn with_model(&self, model: &str) -> Result<Docker, Error> {
        let image = image_of(model);
        let id = self.engine.image_id(&image)?;
        Ok(Docker {
            engine: self.engine.clone(),
            asked: self.asked.clone(),
            image: Image { name: image, id },
        })
    }

    pub(crate) fn describe(&self) -> String {
        format!("docker {}", self.engine.version)
    }

    pub(crate) fn model_image(&self) -> String {
        let Image { name, id } = &self.image;
        let id = id.strip_prefix("sha256:").unwrap_or(id);
        format!("{name} ({})", id.get(..12).unwrap_or(id))
    }

    /// Starts a frontend, and waits until it answers.
    pub(crate) fn frontend(
        &self,
        cores: Option<&[usize]>,
        logs: &Path,
        stop: &AtomicBool,
    ) -> Result<Frontend, Error> {
        let name = "frontend".to_owned();
        let body = ContainerCreateBody {
            image: Some(self.asked.frontend_image.clone()),
            ..self.body(cores, HostConfig::default())
        };
        let mut container = Container::start(&self.engine, name, body, logs, false)?;
        container.check_cores(cores)?;
        let address = container.address()?;
        let admin = Admin::new(address, PORTS);
        let began = Instant::now();
        while !admin.answers() {
            check_stop(stop)?;
            container.check("during start-up")?;
            if began.elapsed() > Duration::from_secs(60) {
                return Err(Error::Frontend(format!(
                    "the frontend has not answered at {address} within a minute: is this Docker engine on another machine?"
                )));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Frontend {
            address,
            name_for_servers: container.full_name.clone(),
            member: Box::new(container),
            ports: PORTS,
        })
    }

    /// Starts a model server.
    pub(crate) fn server(
        &self,
        server: Server<'_>,
        frontend: &Frontend,
        logs: &Path,
    ) -> Result<Box<dyn Member>, Error> {
        let mut told = server.told;
        told.push(("ip", frontend.name_for_servers.clone()));
        told.push(("port", frontend.ports.rpc_service_port.to_string()));
        // A container sees the GPUs that it was given, and numbers them anew.
        let (device, gpus) = match server.device {
            Device::Cpu => (Device::Cpu, None),
            Device::Cuda(gpu) => (Device::Cuda(0), Some(vec![device_request(gpu)])),
        };
        told.push(("device", device.to_string()));
        let mut binds = None;
        if let Some(path) = server.model_path {
            let (bind, inside) = mounted(path)?;
            told.push(("model_path", inside));
            binds = Some(vec![bind]);
        }
        let told = told.into_iter();
        let env = told.map(|(flag, value)| format!("CLIPPER_{}={value}", flag.to_uppercase()));
        let bytes = |mib: usize| i64::try_from(mib << 20).unwrap_or(i64::MAX);
        let memory = self.asked.replica_memory_mib.map(bytes);
        let limits = HostConfig {
            memory,
            // Without swap: a replica beyond its limit is to be seen, not to be slow.
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
        let container = Container::start(&self.engine, server.name, body, logs, true)?;
        container.check_cores(server.cores)?;
        Ok(Box::new(container))
    }

    /// What all containers have in common.
    fn body(&self, cores: Option<&[usize]>, limits: HostConfig) -> ContainerCreateBody {
        ContainerCreateBody {
            cmd: Some(vec!["--exit_with_stdin".to_owned()]),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            // A health check is a process in the container every few seconds: registration tells the same.
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

/// The image that `docker/build_docker_images.sh` makes for a model.
fn image_of(model: &str) -> String {
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

/// How the folder of an artifact is mounted, because its metadata may lie beside it, and where the artifact is then.
fn mounted(path: &Path) -> Result<(String, String), Error> {
    let failed = |error| Error::file("read", path, error);
    let path = path.canonicalize().map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    Ok((
        format!("{}:{MODEL_FOLDER}:ro", folder.display()),
        format!("{MODEL_FOLDER}/{file}"),
    ))
}
