//! A client of the frontend's admin REST interface, with the requests that a deployment needs.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;
use ureq::{Agent, Body, http::Response};
use wire::{
    BoundPorts,
    admin::{AddApp, AddModel, ModelLinks, ReplicaInfo},
};

use crate::error::Error;

/// Version that models are deployed under.
pub const MODEL_VERSION: &str = "1";

/// A client of one frontend's admin and metrics interfaces.
#[derive(Debug)]
pub struct Admin {
    agent: Agent,
    address: IpAddr,
    ports: BoundPorts,
}

impl Admin {
    /// Creates a client; the first request connects.
    pub fn new(address: IpAddr, ports: BoundPorts) -> Admin {
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .http_status_as_error(false)
            .build();
        Admin {
            agent: config.into(),
            address,
            ports,
        }
    }

    /// Registers application and model, and links them.
    ///
    /// # Errors
    /// If the frontend does not answer or refuses the request.
    pub fn deploy(&self, app: &AddApp, model: &AddModel) -> Result<(), Error> {
        self.post("add_app", app)?;
        self.post("add_model", model)?;
        let links = ModelLinks {
            app_name: app.name.clone(),
            model_names: vec![model.model_name.clone()],
        };
        self.post("add_model_links", &links)
    }

    /// Returns true if the frontend answers a ping.
    pub fn answers(&self) -> bool {
        self.get(self.ports.admin_port, "admin/ping").is_ok()
    }

    /// Lists the registered replicas.
    ///
    /// # Errors
    /// If the frontend does not answer or refuses the request.
    pub fn replicas(&self) -> Result<Vec<ReplicaInfo>, Error> {
        let text = self.get(self.ports.admin_port, "admin/replicas")?;
        serde_json::from_str(&text).map_err(|error| unreadable("admin/replicas", &error))
    }

    /// Returns the metrics in Clipper's JSON format.
    ///
    /// # Errors
    /// If the frontend does not answer or refuses the request.
    pub fn metrics(&self) -> Result<Value, Error> {
        let text = self.get(self.ports.query_port, "metrics")?;
        serde_json::from_str(&text).map_err(|error| unreadable("metrics", &error))
    }

    fn post(&self, path: &str, body: &impl Serialize) -> Result<(), Error> {
        let url = self.url(self.ports.admin_port, &format!("admin/{path}"));
        let response = self.agent.post(&url).send_json(body);
        text(path, response).map(drop)
    }

    fn get(&self, port: u16, path: &str) -> Result<String, Error> {
        text(path, self.agent.get(&self.url(port, path)).call())
    }

    fn url(&self, port: u16, path: &str) -> String {
        format!("http://{}/{path}", SocketAddr::new(self.address, port))
    }
}

/// Returns the body of a successful response.
fn text(path: &str, response: Result<Response<Body>, ureq::Error>) -> Result<String, Error> {
    let failed = |why: &dyn std::fmt::Display| {
        Error::Frontend(format!(
            "request {path} to the frontend failed: {why}; see the frontend's log"
        ))
    };
    let mut response = response.map_err(|error| failed(&error))?;
    let text = response
        .body_mut()
        .read_to_string()
        .map_err(|error| failed(&error))?;
    match response.status().is_success() {
        true => Ok(text),
        false => Err(failed(&text.trim())),
    }
}

fn unreadable(path: &str, error: &serde_json::Error) -> Error {
    Error::Frontend(format!(
        "cannot read the frontend's answer to {path}: {error}; build frontend and driver from one commit"
    ))
}
