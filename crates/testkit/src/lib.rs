//! What tests share: a frontend in this process, peers that say exactly the frames that a test wants, and what
//! torchvision computes of photographs.
//!
//! Every wait ends after [`PATIENCE`] with a panic that says what did not come.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "only tests use it, and a panic is how a test fails"
)]

use std::{
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use frontend::Settings;

mod http;
mod microscope;
mod model_server;
mod peer;
mod program;
mod python;
mod redis;
mod reference;

pub use http::{Http, Response};
pub use microscope::{Behaviour, Microscope};
pub use model_server::{ModelServer, Rpc};
pub use peer::{Peer, double, inputs, registration, replica};
pub use program::{Program, Serves};
pub use python::{Script, schema_errors};
pub use redis::Redis;
pub use reference::{Answer, Reference};

/// How long to wait for what must come.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The same for other programs, which have to start on a machine that may be busy.
pub const PATIENCE_WITH_PROGRAMS: Duration = Duration::from_secs(60);

/// A frontend's settings: loopback, free ports, state in memory.
pub fn settings() -> Settings {
    settings_with(&[])
}

/// The same, with further flags.
pub fn settings_with(flags: &[&str]) -> Settings {
    let flags = flags.iter().map(|flag| (*flag).to_owned());
    Settings::parse_from(
        std::iter::once("frontend".to_owned())
            .chain(free_ports())
            .chain(flags),
    )
}

fn free_ports() -> impl Iterator<Item = String> {
    let ports = [
        "query",
        "admin",
        "rpc_service",
        "rpc_2017",
        "rpc_send",
        "rpc_recv",
        "send",
        "recv",
    ];
    ports.into_iter().map(|port| format!("--{port}_port=0"))
}

/// Posts JSON to the admin API; answers status and body.
pub fn admin(frontend: &impl Serves, endpoint: &str, body: &str) -> (u16, String) {
    admin_at(frontend.ports().admin_port, endpoint, body)
}

/// The same, by the port.
fn admin_at(port: u16, endpoint: &str, body: &str) -> (u16, String) {
    let url = format!("http://127.0.0.1:{port}/admin/{endpoint}");
    let agent = agent();
    let mut response = agent.post(url).send(body).unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), text)
}

/// Waits until there is something, which other programs bring about.
pub fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(
            began.elapsed() < PATIENCE_WITH_PROGRAMS,
            "not within {PATIENCE_WITH_PROGRAMS:?}: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// Gets from the query port.
pub fn get(frontend: &impl Serves, path: &str) -> String {
    get_from(frontend.ports().query_port, path)
}

/// The replicas that are registered, in JSON.
pub fn replicas(frontend: &impl Serves) -> String {
    get_from(frontend.ports().admin_port, "/admin/replicas")
}

fn get_from(port: u16, path: &str) -> String {
    let url = format!("http://127.0.0.1:{port}{path}");
    let mut response = agent().get(url).call().unwrap();
    response.body_mut().read_to_string().unwrap()
}

/// Adds application `app` (default output "none") and model `m` version "1" for floats, and links them.
pub fn deploy(frontend: &impl Serves, batch_size: i32, objective: Duration) {
    deploy_for(frontend, "floats", batch_size, objective);
}

/// The same for inputs of any type.
pub fn deploy_for(frontend: &impl Serves, input_type: &str, batch_size: i32, objective: Duration) {
    let micros = objective.as_micros();
    for (endpoint, body) in [
        (
            "add_app",
            format!(
                r#"{{"name":"app","input_type":"{input_type}","default_output":"none","latency_slo_micros":{micros}}}"#
            ),
        ),
        (
            "add_model",
            format!(
                r#"{{"model_name":"m","model_version":"1","labels":[],"input_type":"{input_type}","container_name":"","model_data_path":"","batch_size":{batch_size}}}"#
            ),
        ),
        (
            "add_model_links",
            r#"{"app_name":"app","model_names":["m"]}"#.into(),
        ),
    ] {
        let (status, text) = admin(frontend, endpoint, &body);
        assert_eq!(status, 200, "{text}");
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into()
}
