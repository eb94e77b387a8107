//! The connection to the Docker engine. Each container and network has a label that names the driver
//! process that created it.

use std::{collections::HashMap, process};

use bollard::{
    errors::Error as DockerError,
    models::NetworkCreateRequest,
    query_parameters::{ListContainersOptions, ListNetworksOptions, RemoveContainerOptions},
};
use procfs::process::Process;
use tokio::runtime::{self, Runtime};

use crate::error::Error;

/// Label that identifies the driver process that created a container or network.
const LABEL: &str = "image-driver.owner";

/// A connection to the engine, with the network of this driver's containers. Dropping it removes the
/// network.
pub(super) struct DockerEngine {
    /// Runtime of one thread, which copies the containers' output to their logs.
    pub(super) runtime: Runtime,
    pub(super) client: bollard::Docker,
    /// Version of the engine.
    pub(super) version: String,
    /// Name of the network, and prefix of the containers' names.
    pub(super) network: String,
    owner: Owner,
}

impl std::fmt::Debug for DockerEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DockerEngine {} with {}", self.version, self.network)
    }
}

impl DockerEngine {
    /// Connects to the engine that `DOCKER_HOST` names, else to the local one.
    pub(super) fn connect() -> Result<DockerEngine, Error> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("docker")
            .enable_all()
            .build()
            .map_err(|error| Error::Docker(format!("cannot start a thread: {error}")))?;
        let connect = async {
            let client = bollard::Docker::connect_with_defaults()?;
            let client = client.negotiate_version().await?;
            let version = client.version().await?;
            Ok((client, version.version.unwrap_or_default()))
        };
        let (client, version) = runtime.block_on(connect).map_err(|error: DockerError| {
            Error::Docker(format!(
                "cannot reach the Docker engine: {error}; start it, join the group docker, or omit --manager docker"
            ))
        })?;
        let owner = Owner::current();
        Ok(DockerEngine {
            runtime,
            client,
            version,
            network: format!("image-driver-{}", owner.pid),
            owner,
        })
    }

    /// Labels of everything that this driver creates.
    pub(super) fn labels(&self) -> [(String, String); 1] {
        [(LABEL.to_owned(), self.owner.to_string())]
    }

    /// Returns the id of a local image.
    pub(super) fn image_id(&self, image: &str) -> Result<String, Error> {
        let found = self
            .runtime
            .block_on(self.client.inspect_image(image))
            .map_err(|error| match error {
                DockerError::DockerResponseServerError {
                    status_code: 404, ..
                } => Error::Docker(format!(
                    "there is no image {image}: build it with docker/build_docker_images.sh, or pull it"
                )),
                other => failed(&format!("look for the image {image}"), &other),
            })?;
        Ok(found.id.unwrap_or_default())
    }

    /// Creates the network of this driver's containers.
    pub(super) fn create_network(&self) -> Result<(), Error> {
        let request = NetworkCreateRequest {
            name: self.network.clone(),
            labels: Some(HashMap::from(self.labels())),
            ..NetworkCreateRequest::default()
        };
        self.runtime
            .block_on(self.client.create_network(request))
            .map_err(|error| failed("create a network", &error))?;
        Ok(())
    }
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        // Fails if the network was never created. If the engine does not answer, `driver clean` removes
        // the network later.
        let _ = self
            .runtime
            .block_on(self.client.remove_network(&self.network));
    }
}

/// A driver process, identified by its id and its start time, because the kernel reuses ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    pid: u32,
    /// Start time in clock ticks since boot.
    started: u64,
}

impl Owner {
    fn current() -> Owner {
        let pid = process::id();
        Owner {
            pid,
            started: start_time(pid).unwrap_or(0),
        }
    }

    fn parse(label: &str) -> Option<Owner> {
        let (pid, started) = label.split_once('@')?;
        Some(Owner {
            pid: pid.parse().ok()?,
            started: started.parse().ok()?,
        })
    }

    fn is_running(self) -> bool {
        start_time(self.pid) == Some(self.started)
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.pid, self.started)
    }
}

/// Start time of a process, in clock ticks since boot.
fn start_time(pid: u32) -> Option<u64> {
    let process = Process::new(pid.try_into().ok()?).ok()?;
    Some(process.stat().ok()?.starttime)
}

/// Removes the containers and networks of drivers that have exited, or with `all` those of all drivers.
/// Returns the names of the removed ones.
///
/// # Errors
/// If the engine does not answer or fails to remove one.
pub fn clean(all: bool) -> Result<Vec<String>, Error> {
    let engine = DockerEngine::connect()?;
    let client = &engine.client;
    let filters = Some(HashMap::from([(
        "label".to_owned(),
        vec![LABEL.to_owned()],
    )]));
    let is_leftover = |labels: &Option<HashMap<String, String>>| {
        let owner = labels.as_ref().and_then(|labels| labels.get(LABEL));
        let owner = owner.and_then(|label| Owner::parse(label));
        all || owner.is_some_and(|owner| !owner.is_running())
    };
    let work = async {
        let mut removed = Vec::new();
        let options = ListContainersOptions {
            all: true,
            filters: filters.clone(),
            ..ListContainersOptions::default()
        };
        let containers = client.list_containers(Some(options)).await?;
        for container in containers.into_iter().filter(|c| is_leftover(&c.labels)) {
            let id = container.id.unwrap_or_default();
            remove(client, &id).await?;
            let names = container.names.unwrap_or_default();
            removed.extend(names.iter().map(|name| name.trim_matches('/').to_owned()));
        }
        let options = ListNetworksOptions { filters };
        let networks = client.list_networks(Some(options)).await?;
        for network in networks.into_iter().filter(|n| is_leftover(&n.labels)) {
            let name = network.name.unwrap_or_default();
            client.remove_network(&name).await?;
            removed.push(format!("network {name}"));
        }
        Ok(removed)
    };
    engine
        .runtime
        .block_on(work)
        .map_err(|error: DockerError| failed("remove containers and networks", &error))
}

/// Removes a container, and kills it first if it runs.
pub(super) async fn remove(client: &bollard::Docker, id: &str) -> Result<(), DockerError> {
    let options = RemoveContainerOptions {
        force: true,
        v: true,
        ..RemoveContainerOptions::default()
    };
    client.remove_container(id, Some(options)).await
}

/// Returns the error of a failed engine request; `doing` completes "cannot ...".
pub(super) fn failed(doing: &str, error: &DockerError) -> Error {
    let text = match error {
        DockerError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        other => other.to_string(),
    };
    Error::Docker(format!("the Docker engine cannot {doing}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_identifies_a_running_process() {
        let current = Owner::current();
        assert_eq!(Owner::parse(&current.to_string()), Some(current));
        assert!(current.is_running());
        // The same id, reused for a later process.
        let earlier = Owner {
            started: current.started - 1,
            ..current
        };
        assert!(!earlier.is_running());
        assert_eq!(Owner::parse("invalid"), None);
    }
}
