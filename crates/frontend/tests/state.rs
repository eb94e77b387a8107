//! The state file after SIGKILL, and its lock.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{path::Path, time::Duration};

use frontend::Frontend;
use testkit::{FrontendProcess, admin, deploy, settings};

/// Starts a frontend in a separate process, which is killed on drop.
fn start(state: &Path) -> FrontendProcess {
    let program = env!("CARGO_BIN_EXE_frontend");
    FrontendProcess::start(program, &["--state", state.to_str().unwrap()])
}

fn post_ok(frontend: &FrontendProcess, endpoint: &str, body: &str) -> String {
    let (status, text) = admin(frontend, endpoint, body);
    assert_eq!(status, 200, "{text}");
    text
}

#[test]
fn acknowledged_changes_survive_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let app = r#"{"name":"a","input_type":"f","default_output":"none","latency_slo_micros":1000}"#;
    let model = |version: u32| {
        format!(
            r#"{{"model_name":"m","model_version":"{version}","labels":["x","y"],"input_type":"floats","container_name":"c","model_data_path":"/d","batch_size":4}}"#
        )
    };
    let listings = |frontend: &FrontendProcess| {
        ["get_all_applications", "get_all_models"]
            .map(|endpoint| post_ok(frontend, endpoint, r#"{"verbose":true}"#))
    };

    let first = start(&state);
    post_ok(&first, "add_app", app);
    post_ok(&first, "add_app", &app.replace(r#""a""#, r#""b""#));
    (1..=3).for_each(|version| drop(post_ok(&first, "add_model", &model(version))));
    let link = r#"{"app_name":"a","model_names":["m"]}"#;
    post_ok(&first, "add_model_links", link);
    post_ok(&first, "add_model_links", &link.replace(r#""a""#, r#""b""#));
    post_ok(
        &first,
        "set_model_version",
        r#"{"model_name":"m","model_version":"1"}"#,
    );
    let old = r#"{"model_name":"m","model_version":"2"}"#;
    post_ok(&first, "delete_versioned_model", old);
    post_ok(&first, "delete_app", r#"{"name":"b"}"#);
    let before = listings(&first);
    drop(first);

    let second = start(&state);
    assert_eq!(listings(&second), before);
    assert_eq!(
        before[0],
        r#"[{"input_type":"floats","default_output":"none","latency_slo_micros":1000,"name":"a","linked_models":["m"]}]"#
    );
    assert_eq!(
        post_ok(&second, "get_all_models", r#"{"verbose":false}"#),
        r#"["m:1","m:3"]"#
    );
    post_ok(&second, "delete_model_links", link);
    drop(second);
    let third = start(&state);
    assert_eq!(
        post_ok(&third, "get_linked_models", r#"{"app_name":"a"}"#),
        "[]"
    );
}

#[test]
fn a_state_file_is_used_by_one_frontend_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.state = Some(folder.path().join("state"));
    let first = Frontend::start(&settings).unwrap();
    deploy(&first, 4, Duration::from_secs(1));
    let error = Frontend::start(&settings).unwrap_err();
    assert!(
        format!("{error:#}").contains("no other frontend uses it"),
        "{error:#}"
    );
    drop(first);
    let second = Frontend::start(&settings).unwrap();
    let link = r#"{"app_name":"app","model_names":["m"]}"#;
    let (_, text) = admin(&second, "add_model_links", link);
    assert_eq!(text, "The model with name 'm' is already linked to 'app'");
}
