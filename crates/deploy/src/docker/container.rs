//! One container: its output goes to its log, and if it ends by itself it is started again, if that is wanted.

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
    docker::engine::{Engine, failed, remove},
    error::Error,
    member::Member,
};

/// How long a container that ended by itself stays away.
const AWAY: Duration = Duration::from_secs(1);

/// A container.
#[derive(Debug)]
pub(super) struct Container {
    /// Its name at the engine, by which other containers find it.
    pub(super) full_name: String,
    name: String,
    log: PathBuf,
    engine: Rc<Engine>,
    seen: Arc<Mutex<Seen>>,
    keeper: JoinHandle<()>,
}

/// What is known of it.
#[derive(Debug, Default)]
struct Seen {
    pid: u32,
    address: Option<IpAddr>,
    running: bool,
    /// How it ended the first time.
    ended: Option<String>,
    stopping: bool,
}

impl Container {
    /// Makes and starts a container. Its output goes to `<name>.log` in `logs`. With `again` it is started again
    /// whenever it ends by itself.
    pub(super) fn start(
        engine: &Rc<Engine>,
        name: String,
        body: ContainerCreateBody,
        logs: &Path,
        again: bool,
    ) -> Result<Container, Error> {
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
        let seen = Arc::new(Mutex::new(Seen::default()));
        let begin = async {
            client.create_container(Some(options), body).await?;
            match begin(&client, &full_name, &engine.network, &seen).await {
                Ok(attached) => Ok(attached),
                Err(error) => {
                    remove(&client, &full_name).await?;
                    Err(error)
                }
            }
        };
        let attached = engine
            .runtime
            .block_on(begin)
            .map_err(|error| failed(&format!("start {name}"), &error))?;
        let keeper = Keeper {
            client,
            name: full_name.clone(),
            network: engine.network.clone(),
            file,
            seen: seen.clone(),
            again,
        };
        Ok(Container {
            full_name,
            name,
            log,
            engine: engine.clone(),
            seen,
            keeper: engine.runtime.spawn(keeper.keep(attached)),
        })
    }

    /// Its address in its network.
    pub(super) fn address(&self) -> Result<IpAddr, Error> {
        let address = seen(&self.seen).address;
        address.ok_or_else(|| {
            Error::Member(format!(
                "{} ended at once: see {}",
                self.name,
                self.log.display()
            ))
        })
    }
}

impl Member for Container {
    fn name(&self) -> &str {
        &self.name
    }

    fn log(&self) -> &Path {
        &self.log
    }

    fn pid(&self) -> u32 {
        seen(&self.seen).pid
    }

    /// All containers' first processes have the same id.
    fn is(&self, registered: &Metadata) -> bool {
        registered.host == self.full_name
    }

    fn ended(&mut self) -> Option<String> {
        seen(&self.seen).ended.clone()
    }

    fn is_running(&mut self) -> bool {
        seen(&self.seen).running
    }

    fn ask_to_stop(&mut self) {
        seen(&self.seen).stopping = true;
        let options = KillContainerOptions {
            signal: "SIGTERM".to_owned(),
        };
        let client = &self.engine.client;
        // It fails if it has ended.
        let _ = self
            .engine
            .runtime
            .block_on(client.kill_container(&self.full_name, Some(options)));
    }

    fn kill(&mut self) {
        seen(&self.seen).stopping = true;
        // It fails if it is removed already. If the engine is gone, `driver clean` removes it.
        let _ = self.engine.runtime.block_on(async {
            remove(&self.engine.client, &self.full_name).await?;
            // The end of its output, into its log.
            let _ = (&mut self.keeper).await;
            Ok::<(), DockerError>(())
        });
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.keeper.is_finished() || self.is_running() {
            self.kill();
        }
    }
}

/// Follows a container.
struct Keeper {
    client: bollard::Docker,
    name: String,
    network: String,
    file: File,
    seen: Arc<Mutex<Seen>>,
    again: bool,
}

impl Keeper {
    async fn keep(mut self, mut attached: AttachContainerResults) {
        loop {
            while let Some(Ok(output)) = attached.output.next().await {
                // A full disk must not end what is measured.
                let _ = self.file.write_all(&output.into_bytes());
            }
            let state = state(&self.client, &self.name).await;
            let stopping = {
                let mut seen = seen(&self.seen);
                seen.running = false;
                let how = describe(state.ok().flatten());
                if !seen.stopping {
                    seen.ended.get_or_insert(how);
                }
                seen.stopping
            };
            if stopping || !self.again {
                return;
            }
            sleep(AWAY).await;
            match begin(&self.client, &self.name, &self.network, &self.seen).await {
                Ok(again) => attached = again,
                Err(_) => return,
            }
        }
    }
}

/// Attaches to a container, so that nothing of its output is lost, and starts it.
async fn begin(
    client: &bollard::Docker,
    name: &str,
    network: &str,
    known: &Mutex<Seen>,
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
    let mut seen = seen(known);
    seen.address = address(&found, network);
    let pid = found.state.and_then(|state| state.pid).unwrap_or(0);
    seen.pid = u32::try_from(pid).unwrap_or(0);
    seen.running = true;
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

/// How it ended.
fn describe(state: Option<ContainerState>) -> String {
    let Some(state) = state else {
        return "it was removed".to_owned();
    };
    match (state.oom_killed, state.exit_code) {
        (Some(true), _) => "out of memory: beyond --replica_memory_mib".to_owned(),
        (_, Some(code)) => format!("exit status: {code}"),
        (_, None) => "no exit status".to_owned(),
    }
}

fn seen(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
