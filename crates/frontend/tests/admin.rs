//! The admin API over HTTP, and the state file.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::Frontend;
use testkit::{admin, deploy, settings};

const APP: &str =
    r#"{"name":"app","input_type":"floats","default_output":"none","latency_slo_micros":1000}"#;

fn model(name: &str, version: &str, input_type: &str) -> String {
    format!(
        r#"{{"model_name":"{name}","model_version":"{version}","labels":[],"input_type":"{input_type}","container_name":"","model_data_path":"","batch_size":-1}}"#
    )
}

#[test]
fn what_is_added_is_answered_in_clippers_words() {
    let frontend = Frontend::start(&settings()).unwrap();
    let ask = |endpoint: &str, body: &str| admin(&frontend, endpoint, body);
    let ok = |text: &str| (200, text.to_owned());
    let bad = |text: &str| (400, text.to_owned());
    let link = r#"{"app_name":"app","model_names":["m"]}"#;
    assert_eq!(
        ask("add_model_links", link),
        bad("No app with name 'app' exists.")
    );
    assert_eq!(
        ask("add_app", APP),
        ok("Successfully added application with name 'app'")
    );
    assert_eq!(ask("add_app", APP), bad("application 'app' already exists"));
    assert_eq!(
        ask("add_model_links", link),
        bad("No model with name 'm' exists.")
    );
    assert_eq!(
        ask("add_model", &model("m", "1", "f")),
        ok("Successfully added model with name 'm' and input type 'floats'")
    );
    assert_eq!(
        ask("add_model", &model("m", "1", "f")),
        bad("model with name 'm' and version '1' already exists")
    );
    assert_eq!(
        ask("add_model_links", link),
        ok("Successfully linked model with name 'm' to application 'app'")
    );
    assert_eq!(
        ask("add_model_links", link),
        bad("The model with name 'm' is already linked to 'app'")
    );
    assert_eq!(
        ask("add_model", &model("m", "2", "ints")),
        bad(
            "Model with name 'm' is already linked to app 'app' using input type 'floats'. The input type you provided for a new version of the model, 'ints', is not compatible."
        )
    );
    assert_eq!(
        ask("add_model", &model("m:n", "1", "f")),
        bad("Invalid model name supplied: m:n. Contains one of: ',', ':'")
    );
    assert_eq!(
        ask(
            "set_model_version",
            r#"{"model_name":"m","model_version":"9"}"#
        ),
        bad("Cannot set non-existent version '9' for model with name 'm'")
    );
    assert_eq!(
        ask(
            "set_model_version",
            r#"{"model_name":"m","model_version":"1"}"#
        ),
        ok("Successfully set model with name 'm' to version '1'")
    );
    assert_eq!(
        ask("add_model", &model("n", "1", "xx")),
        bad("xx is not a valid input string")
    );
    let (status, text) = ask("add_app", "{");
    assert_eq!(status, 400);
    assert!(text.starts_with("Error parsing JSON: "), "{text}");
    assert!(text.contains("Expected JSON schema: "), "{text}");
}

#[test]
fn a_state_file_outlives_the_frontend_and_belongs_to_one_at_a_time() {
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

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let first = Frontend::start(&settings()).unwrap();
    let mut second = settings();
    second.ports.rpc_service = first.ports().rpc_service_port;
    let error = format!("{:#}", Frontend::start(&second).unwrap_err());
    let port = first.ports().rpc_service_port;
    assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
    assert!(error.contains("--rpc_service_port"), "{error}");
}
