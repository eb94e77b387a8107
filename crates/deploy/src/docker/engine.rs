//! The Docker engine, and what is ours in it: everything has a label that names the driver that made it.

use std::{collections::HashMap, process};

use bollard::{
    errors::Error as DockerError,
    models::NetworkCreateRequest,
    query_parameters::{ListContainersOptions, ListNetworksOptions, RemoveContainerOptions},
};
use procfs::process::Process;
use tokio::runtime::{self, Runtime};

use crate::error::Error;

/// Names the driver that made a container or a network.
const LABEL: &str = "image-driver.owner";

/// A connection to the engine, and the network of this driver's containers. Dropping it removes the network.
pub(super) struct Engine {
    /// One thread: it follows the containers' output.
    pub(super) runtime: Runtime,
    pub(super) client: bollard::Docker,
    /// The engine's version.
    pub(super) version: String,
    /// The network's name, with which the containers' names begin.
    pub(super) network: String,
    owner: Owner,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine {} with {}", self.version, self.network)
    }
}

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` names, else to this machine's.
    pub(super) fn connect() -> Result<Engine, Error> {
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
                "no Docker engine answers ({error}): start it, join the group docker, or leave --manager docker out"
            ))
        })?;
        let owner = Owner::this();
        Ok(Engine {
            runtime,
            client,
            version,
            network: format!("image-driver-{}", owner.pid),
            owner,
        })
    }

    /// The label of everything that this driver makes.
    pub(super) fn labels(&self) -> [(String, String); 1] {
        [(LABEL.to_owned(), self.owner.to_string())]
    }

    /// The id of an image that is here.
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

    pub(super) fn make_network(&self) -> Result<(), Error> {
        let request = NetworkCreateRequest {
            name: self.network.clone(),
            labels: Some(HashMap::from(self.labels())),
            ..NetworkCreateRequest::default()
        };
        self.runtime
            .block_on(self.client.create_network(request))
            .map_err(|error| failed("make a network", &error))?;
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It fails if it was never made. If the engine is gone, `driver clean` removes it.
        let _ = self
            .runtime
            .block_on(self.client.remove_network(&self.network));
    }
}

/// A driver's process, by its id and the time at which it began: ids come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    pid: u32,
    began: u64,
}

impl Owner {
    fn this() -> Owner {
        let pid = process::id();
        Owner {
            pid,
            began: began(pid).unwrap_or(0),
        }
    }

    fn read(label: &str) -> Option<Owner> {
        let (pid, began) = label.split_once('@')?;
        Some(Owner {
            pid: pid.parse().ok()?,
            began: began.parse().ok()?,
        })
    }

    fn lives(self) -> bool {
        began(self.pid) == Some(self.began)
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.pid, self.began)
    }
}

/// When a process began, in ticks since the machine did.
fn began(pid: u32) -> Option<u64> {
    let process = Process::new(pid.try_into().ok()?).ok()?;
    Some(process.stat().ok()?.starttime)
}

/// Removes the containers and networks of drivers that do not run any more, with `all` those of all drivers; returns
/// their names.
///
/// # Errors
/// If the engine does not answer, or does not remove them.
pub fn clean(all: bool) -> Result<Vec<String>, Error> {
    let engine = Engine::connect()?;
    let client = &engine.client;
    let filters = Some(HashMap::from([(
        "label".to_owned(),
        vec![LABEL.to_owned()],
    )]));
    let is_left = |labels: &Option<HashMap<String, String>>| {
        let owner = labels.as_ref().and_then(|labels| labels.get(LABEL));
        let owner = owner.and_then(|label| Owner::read(label));
        all || owner.is_some_and(|owner| !owner.lives())
    };
    let work = async {
        let mut removed = Vec::new();
        let options = ListContainersOptions {
            all: true,
            filters: filters.clone(),
            ..ListContainersOptions::default()
        };
        let containers = client.list_containers(Some(options)).await?;
        for container in containers.into_iter().filter(|c| is_left(&c.labels)) {
            let id = container.id.unwrap_or_default();
            remove(client, &id).await?;
            let names = container.names.unwrap_or_default();
            removed.extend(names.iter().map(|name| name.trim_matches('/').to_owned()));
        }
        let options = ListNetworksOptions { filters };
        let networks = client.list_networks(Some(options)).await?;
        for network in networks.into_iter().filter(|n| is_left(&n.labels)) {
            let name = network.name.unwrap_or_default();
            client.remove_network(&name).await?;
            removed.push(format!("network {name}"));
        }
        Ok(removed)
    };
    engine
        .runtime
        .block_on(work)
        .map_err(|error: DockerError| failed("remove what is left", &error))
}

/// Removes a container, running or not.
pub(super) async fn remove(client: &bollard::Docker, id: &str) -> Result<(), DockerError> {
    let options = RemoveContainerOptions {
        force: true,
        v: true,
        ..RemoveContainerOptions::default()
    };
    client.remove_container(id, Some(options)).await
}

/// A failure of the engine; `doing` completes "cannot ...".
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
    fn a_label_names_a_process_that_lives_until_it_ends() {
        let this = Owner::this();
        assert_eq!(Owner::read(&this.to_string()), Some(this));
        assert!(this.lives());
        // The same id, given to another process later.
        let before = Owner {
            began: this.began - 1,
            ..this
        };
        assert!(!before.lives());
        assert_eq!(Owner::read("somebody"), None);
    }
}
