//! The state file, and a frontend that is killed.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use frontend::Frontend;
use testkit::{admin, admin_at, deploy, settings};

/// A frontend in a process of its own. Dropping it kills it.
struct Killed {
    process: Child,
    admin_port: u16,
}

impl Killed {
    fn start(state: &Path) -> Killed {
        let ports = ["query", "admin", "rpc_service", "send", "recv"];
        let mut process = Command::new(env!("CARGO_BIN_EXE_frontend"))
            .args(ports.map(|port| format!("--{port}_port=0")))
            .arg("--state")
            .arg(state)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = process.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let ports: serde_json::Value = serde_json::from_str(&line).unwrap();
        let admin_port = ports["admin_port"].as_u64().unwrap();
        Killed {
            process,
            admin_port: admin_port.try_into().unwrap(),
        }
    }

    fn ask(&self, endpoint: &str, body: &str) -> String {
        let (status, text) = admin_at(self.admin_port, endpoint, body);
        assert_eq!(status, 200, "{text}");
        text
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn what_a_client_was_told_is_done_outlives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let app = r#"{"name":"a","input_type":"f","default_output":"none","latency_slo_micros":1000}"#;
    let model = |version: u32| {
        format!(
            r#"{{"model_name":"m","model_version":"{version}","labels":["x","y"],"input_type":"floats","container_name":"c","model_data_path":"/d","batch_size":4}}"#
        )
    };
    let listings = |frontend: &Killed| {
        ["get_all_applications", "get_all_models"]
            .map(|endpoint| frontend.ask(endpoint, r#"{"verbose":true}"#))
    };

    let first = Killed::start(&state);
    first.ask("add_app", app);
    first.ask("add_app", &app.replace(r#""a""#, r#""b""#));
    (1..=3).for_each(|version| drop(first.ask("add_model", &model(version))));
    let link = r#"{"app_name":"a","model_names":["m"]}"#;
    first.ask("add_model_links", link);
    first.ask("add_model_links", &link.replace(r#""a""#, r#""b""#));
    first.ask(
        "set_model_version",
        r#"{"model_name":"m","model_version":"1"}"#,
    );
    let old = r#"{"model_name":"m","model_version":"2"}"#;
    first.ask("delete_versioned_model", old);
    first.ask("delete_app", r#"{"name":"b"}"#);
    let before = listings(&first);
    drop(first);

    let second = Killed::start(&state);
    assert_eq!(listings(&second), before);
    assert_eq!(
        before[0],
        r#"[{"input_type":"floats","default_output":"none","latency_slo_micros":1000,"name":"a","linked_models":["m"]}]"#
    );
    assert_eq!(
        second.ask("get_all_models", r#"{"verbose":false}"#),
        r#"["m:1","m:3"]"#
    );
    second.ask("delete_model_links", link);
    drop(second);
    let third = Killed::start(&state);
    assert_eq!(third.ask("get_linked_models", r#"{"app_name":"a"}"#), "[]");
}

#[test]
fn a_state_file_belongs_to_one_frontend_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.state = Some(folder.path().join("state"));
    let first = Frontend::start(&settings).unwrap();
    deploy(&first, 4, Duration::from_secs(1));
    let error = Frontend::start(&settings).unwrap_err();
    assert!(
        format!("{error:#}").contains("no other frontend using it"),
        "{error:#}"
    );
    drop(first);
    let second = Frontend::start(&settings).unwrap();
    let link = r#"{"app_name":"app","model_names":["m"]}"#;
    let (_, text) = admin(&second, "add_model_links", link);
    assert_eq!(text, "The model with name 'm' is already linked to 'app'");
}
