//! Containers and clients of all of Clipper's generations, in Python with pyzmq, through a frontend
//! in this process.
#![allow(clippy::unwrap_used, reason = "tests")]

use clap::Parser;
use frontend::{Frontend, Settings};
use model::DataType;
use testkit::{Script, admin, replicas, wait_until};

/// Number of queries per input type: more than a batch.
const QUERIES: &str = "50";

/// Adds an application and a model for an input type, and links them.
fn deploy(frontend: &Frontend, input_type: DataType) {
    for (endpoint, body) in [
        (
            "add_app",
            format!(
                r#"{{"name":"app_{input_type}","input_type":"{input_type}","default_output":"none","latency_slo_micros":3600000000}}"#
            ),
        ),
        (
            "add_model",
            format!(
                r#"{{"model_name":"{input_type}","model_version":"1","labels":[],"input_type":"{input_type}","container_name":"","model_data_path":"","batch_size":8}}"#
            ),
        ),
        (
            "add_model_links",
            format!(r#"{{"app_name":"app_{input_type}","model_names":["{input_type}"]}}"#),
        ),
    ] {
        let (status, text) = admin(frontend, endpoint, &body);
        assert_eq!(status, 200, "{text}");
    }
}

/// Runs a client of generation `client` against containers of generation `containers`, one per
/// input type.
fn serve(containers: &str, client: &str, ports: impl Fn(&Frontend) -> Vec<u16>) {
    let protocol = format!("--client_protocol={client}");
    let mut settings = Settings::parse_from(["frontend", &protocol]);
    settings.ports = testkit::settings().ports;
    let frontend = Frontend::start(&settings).unwrap();
    DataType::ALL
        .iter()
        .for_each(|data_type| deploy(&frontend, *data_type));
    let ports: Vec<_> = ports(&frontend).iter().map(u16::to_string).collect();
    let file = format!("container_{containers}.py");
    let start = |data_type: &DataType| {
        let mut arguments: Vec<_> = ports.iter().map(String::as_str).collect();
        let name = data_type.name();
        arguments.extend([name, "1", name]);
        Script::start(&file, &arguments)
    };
    let _running: Vec<_> = DataType::ALL.iter().map(start).collect();
    let registered = || replicas(&frontend).matches("replica_id").count();
    wait_until("the containers are registered", || {
        (registered() == DataType::ALL.len()).then_some(())
    });
    let ports = frontend.ports();
    let (send, recv) = (ports.send_port.to_string(), ports.recv_port.to_string());
    let arguments = [client, &send, &recv, containers, QUERIES];
    Script::start("client.py", arguments).finish();
}

#[test]
fn containers_and_clients_of_2017() {
    serve("2017", "2017", |frontend| {
        vec![frontend.ports().rpc_2017_port]
    });
}

#[test]
fn containers_of_2017_and_high_performance_clients() {
    serve("2017", "highperf", |frontend| {
        vec![frontend.ports().rpc_2017_port]
    });
}

#[test]
fn high_performance_containers_and_clients() {
    serve("highperf", "highperf", |frontend| {
        vec![
            frontend.ports().rpc_send_port,
            frontend.ports().rpc_recv_port,
        ]
    });
}

#[test]
fn containers_of_the_final_release_and_clients_of_2017() {
    serve("3", "2017", |frontend| {
        vec![frontend.ports().rpc_service_port]
    });
}
