//! Requests to a frontend's REST interfaces that many tests share.

use std::time::Duration;

use crate::HasPorts;

/// Posts JSON to the admin API; returns the status and the body.
pub fn admin(frontend: &impl HasPorts, endpoint: &str, body: &str) -> (u16, String) {
    admin_at(frontend.ports().admin_port, endpoint, body)
}

fn admin_at(port: u16, endpoint: &str, body: &str) -> (u16, String) {
    let url = format!("http://127.0.0.1:{port}/admin/{endpoint}");
    let agent = agent();
    let mut response = agent.post(url).send(body).unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    (response.status().as_u16(), text)
}

/// Sends a GET request to the query port; returns the body.
pub fn get(frontend: &impl HasPorts, path: &str) -> String {
    get_from(frontend.ports().query_port, path)
}

/// Returns the registered replicas as JSON.
pub fn replicas(frontend: &impl HasPorts) -> String {
    get_from(frontend.ports().admin_port, "/admin/replicas")
}

fn get_from(port: u16, path: &str) -> String {
    let url = format!("http://127.0.0.1:{port}{path}");
    let mut response = agent().get(url).call().unwrap();
    response.body_mut().read_to_string().unwrap()
}

/// Adds application `app` with default output "none" and model `m` version "1" for floats, and
/// links them.
pub fn deploy(frontend: &impl HasPorts, batch_size: i32, objective: Duration) {
    deploy_for(frontend, "floats", batch_size, objective);
}

/// Does the same as [`deploy`] for inputs of any type.
pub fn deploy_for(
    frontend: &impl HasPorts,
    input_type: &str,
    batch_size: i32,
    objective: Duration,
) {
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
