//! The frontend's REST side, as far as a deployment needs it.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;
use ureq::{Agent, Body, http::Response};
use wire::{
    BoundPorts,
    admin::{AddApp, AddModel, ModelLinks, Replica},
};

use crate::error::Error;

/// The version under which models are deployed.
pub const MODEL_VERSION: &str = "1";

/// A client of one frontend.
#[derive(Debug)]
pub struct Admin {
    agent: Agent,
    address: IpAddr,
    ports: BoundPorts,
}

impl Admin {
    /// A client of the frontend at this address and these ports.
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

    /// Adds application and model, and links them.
    ///
    /// # Errors
    /// If the frontend does not answer, or refuses.
    pub fn deploy(&self, app: &AddApp, model: &AddModel) -> Result<(), Error> {
        self.post("add_app", app)?;
        self.post("add_model", model)?;
        let links = ModelLinks {
            app_name: app.name.clone(),
            model_names: vec![model.model_name.clone()],
        };
        self.post("add_model_links", &links)
    }

    /// True once the frontend is there.
    pub fn answers(&self) -> bool {
        self.get(self.ports.admin_port, "admin/ping").is_ok()
    }

    /// The replicas that are registered.
    ///
    /// # Errors
    /// If the frontend does not answer, or refuses.
    pub fn replicas(&self) -> Result<Vec<Replica>, Error> {
        let text = self.get(self.ports.admin_port, "admin/replicas")?;
        serde_json::from_str(&text).map_err(|error| unreadable("admin/replicas", &error))
    }

    /// Clipper's metrics.
    ///
    /// # Errors
    /// If the frontend does not answer, or refuses.
    pub fn metrics(&self) -> Result<Value, Error> {
        let text = self.get(self.ports.query_port, "metrics")?;
        serde_json::from_str(&text).map_err(|error| unreadable("metrics", &error))
    }

    fn post(&self, what: &str, body: &impl Serialize) -> Result<(), Error> {
        let url = self.url(self.ports.admin_port, &format!("admin/{what}"));
        let response = self.agent.post(&url).send_json(body);
        text(what, response).map(drop)
    }

    fn get(&self, port: u16, what: &str) -> Result<String, Error> {
        text(what, self.agent.get(&self.url(port, what)).call())
    }

    fn url(&self, port: u16, what: &str) -> String {
        format!("http://{}/{what}", SocketAddr::new(self.address, port))
    }
}

fn text(what: &str, response: Result<Response<Body>, ureq::Error>) -> Result<String, Error> {
    let refused = |why: &dyn std::fmt::Display| {
        Error::Frontend(format!(
            "the frontend did not do {what}: {why}; see its log"
        ))
    };
    let mut response = response.map_err(|error| refused(&error))?;
    let text = response
        .body_mut()
        .read_to_string()
        .map_err(|error| refused(&error))?;
    match response.status().is_success() {
        true => Ok(text),
        false => Err(refused(&text.trim())),
    }
}

fn unreadable(what: &str, error: &serde_json::Error) -> Error {
    Error::Frontend(format!(
        "the frontend's {what} cannot be read ({error}): build frontend and driver from one commit"
    ))
}
