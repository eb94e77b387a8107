//! A frontend's REST interfaces, as far as most tests use them.

use std::time::Duration;

use crate::Serves;

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
