//! One container: its output is copied to its log, and it can restart after an exit.

use std::{
    fs::File,
    io::Write,
    net::IpAddr,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bollard::{
    container::AttachContainerResults,
    errors::Error as DockerError,
    models::{ContainerCreateBody, ContainerInspectResponse, ContainerState},
    query_parameters::{
        AttachContainerOptions, CreateContainerOptions, InspectContainerOptions,
        KillContainerOptions,
    },
};
use futures_util::StreamExt;
use tokio::{task::JoinHandle, time::sleep};
use wire::rpc::Metadata;

use crate::{
    docker::engine::{DockerEngine, failed, remove},
    error::Error,
    handle::Handle,
};

/// Delay before the restart of a container that exited.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// A container, created and started.
#[derive(Debug)]
pub(super) struct DockerContainer {
    /// Name at the engine, and host name for other containers.
    pub(super) full_name: String,
    name: String,
    log: PathBuf,
    engine: Rc<DockerEngine>,
    status: Arc<Mutex<ContainerStatus>>,
    monitor: JoinHandle<()>,
}

/// Last known status of a container.
#[derive(Debug, Default)]
struct ContainerStatus {
    pid: u32,
    address: Option<IpAddr>,
    running: bool,
    /// Exit status of the first exit that was not requested.
    exit_status: Option<String>,
    /// Set once the driver has requested the exit.
    stopping: bool,
}

impl DockerContainer {
    /// Creates and starts a container. Its output goes to `<name>.log` in `logs`. With `restart` it is
    /// started again after each exit that was not requested.
    pub(super) fn start(
        engine: &Rc<DockerEngine>,
        name: String,
        body: ContainerCreateBody,
        logs: &Path,
        restart: bool,
    ) -> Result<DockerContainer, Error> {
        let log = logs.join(format!("{name}.log"));
        let file = File::create(&log).map_err(|error| Error::file("write", &log, error))?;
        let full_name = format!("{}-{name}", engine.network);
        let body = ContainerCreateBody {
            hostname: Some(full_name.clone()),
            ..body
        };
        let options = CreateContainerOptions {
            name: Some(full_name.clone()),
            ..CreateContainerOptions::default()
        };
        let client = engine.client.clone();
        let status = Arc::new(Mutex::new(ContainerStatus::default()));
        let create = async {
            client.create_container(Some(options), body).await?;
            match start(&client, &full_name, &engine.network, &status).await {
                Ok(attached) => Ok(attached),
                Err(error) => {
                    remove(&client, &full_name).await?;
                    Err(error)
                }
            }
        };
        let attached = engine
            .runtime
            .block_on(create)
            .map_err(|error| failed(&format!("start {name}"), &error))?;
        let monitor = Monitor {
            client,
            name: full_name.clone(),
            network: engine.network.clone(),
            file,
            status: status.clone(),
            restart,
        };
        Ok(DockerContainer {
            full_name,
            name,
            log,
            engine: engine.clone(),
            status,
            monitor: engine.runtime.spawn(monitor.run(attached)),
        })
    }

    /// Address of the container in the driver's network.
    pub(super) fn address(&self) -> Result<IpAddr, Error> {
        let address = lock(&self.status).address;
        address.ok_or_else(|| {
            Error::Process(format!(
                "{} exited right after its start: see {}",
                self.name,
                self.log.display()
            ))
        })
    }
}

impl Handle for DockerContainer {
    fn name(&self) -> &str {
        &self.name
    }

    fn log(&self) -> &Path {
        &self.log
    }

    fn pid(&self) -> u32 {
        lock(&self.status).pid
    }

    /// Compares host names: the first process of every container has the same id in it.
    fn matches(&self, registered: &Metadata) -> bool {
        registered.host == self.full_name
    }

    fn exit_status(&mut self) -> Option<String> {
        lock(&self.status).exit_status.clone()
    }

    fn is_running(&mut self) -> bool {
        lock(&self.status).running
    }

    fn terminate(&mut self) {
        lock(&self.status).stopping = true;
        let options = KillContainerOptions {
            signal: "SIGTERM".to_owned(),
        };
        let client = &self.engine.client;
        // Fails if the container has exited.
        let _ = self
            .engine
            .runtime
            .block_on(client.kill_container(&self.full_name, Some(options)));
    }

    fn kill(&mut self) {
        lock(&self.status).stopping = true;
        // Fails if the container is already removed. If the engine does not answer, `driver clean` removes
        // the container later.
        let _ = self.engine.runtime.block_on(async {
            remove(&self.engine.client, &self.full_name).await?;
            // The monitor ends after it has written the last output to the log.
            let _ = (&mut self.monitor).await;
            Ok::<(), DockerError>(())
        });
    }
}

impl Drop for DockerContainer {
    fn drop(&mut self) {
        if !self.monitor.is_finished() || self.is_running() {
            self.kill();
        }
    }
}

/// Task that copies a container's output to its log, and restarts the container.
struct Monitor {
    client: bollard::Docker,
    name: String,
    network: String,
    file: File,
    status: Arc<Mutex<ContainerStatus>>,
    restart: bool,
}

impl Monitor {
    async fn run(mut self, mut attached: AttachContainerResults) {
        loop {
            while let Some(Ok(output)) = attached.output.next().await {
                // A full disk must not end the measurement.
                let _ = self.file.write_all(&output.into_bytes());
            }
            let state = state(&self.client, &self.name).await;
            let stopping = {
                let mut status = lock(&self.status);
                status.running = false;
                let exit_status = exit_status(state.ok().flatten());
                if !status.stopping {
                    status.exit_status.get_or_insert(exit_status);
                }
                status.stopping
            };
            if stopping || !self.restart {
                return;
            }
            sleep(RESTART_DELAY).await;
            match start(&self.client, &self.name, &self.network, &self.status).await {
                Ok(restarted) => attached = restarted,
                Err(_) => return,
            }
        }
    }
}

/// Attaches to a container and then starts it, so that no output is lost.
async fn start(
    client: &bollard::Docker,
    name: &str,
    network: &str,
    status: &Mutex<ContainerStatus>,
) -> Result<AttachContainerResults, DockerError> {
    let options = AttachContainerOptions {
        stream: true,
        stdin: true,
        stdout: true,
        stderr: true,
        ..AttachContainerOptions::default()
    };
    let attached = client.attach_container(name, Some(options)).await?;
    client.start_container(name, None).await?;
    let found = client
        .inspect_container(name, None::<InspectContainerOptions>)
        .await?;
    let mut status = lock(status);
    status.address = address(&found, network);
    let pid = found.state.and_then(|state| state.pid).unwrap_or(0);
    status.pid = u32::try_from(pid).unwrap_or(0);
    status.running = true;
    Ok(attached)
}

async fn state(
    client: &bollard::Docker,
    name: &str,
) -> Result<Option<ContainerState>, DockerError> {
    let found = client
        .inspect_container(name, None::<InspectContainerOptions>)
        .await?;
    Ok(found.state)
}

fn address(found: &ContainerInspectResponse, network: &str) -> Option<IpAddr> {
    let networks = found.network_settings.as_ref()?.networks.as_ref()?;
    networks.get(network)?.ip_address.as_deref()?.parse().ok()
}

/// Describes the exit of a container for an error message.
fn exit_status(state: Option<ContainerState>) -> String {
    let Some(state) = state else {
        return "the container was removed".to_owned();
    };
    match (state.oom_killed, state.exit_code) {
        (Some(true), _) => "out of memory: beyond --replica_memory_mib".to_owned(),
        (_, Some(code)) => format!("exit status: {code}"),
        (_, None) => "no exit status".to_owned(),
    }
}

fn lock(status: &Mutex<ContainerStatus>) -> MutexGuard<'_, ContainerStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}
