//! PyPI's `clipper-admin`, unmodified, with this frontend.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    path::Path,
    process::{Command, Output},
    sync::mpsc,
    thread,
    time::Duration,
};

use frontend::Frontend;
use model::DataType;
use testkit::{Peer, RedisServer, settings};
use wire::rpc::{FromContainer, Metadata, NewContainer};

/// Runs the session against a frontend that a replica joined before the model was registered.
fn session(frontend: &Frontend) {
    let ports = frontend.ports();
    let mut replica = Peer::connect(ports.rpc_service_port);
    replica.register(&NewContainer {
        name: "noop".into(),
        version: "1".into(),
        input_type: DataType::Doubles,
        metadata: Some(Metadata::default()),
    });
    let (stop, stopped) = mpsc::channel::<()>();
    let heartbeats = thread::spawn(move || {
        let second = Duration::from_secs(1);
        while stopped.recv_timeout(second) == Err(mpsc::RecvTimeoutError::Timeout) {
            replica.send_with(FromContainer::encode_heartbeat);
        }
    });
    let ports = [ports.query_port, ports.admin_port].map(|port| format!("127.0.0.1:{port}"));
    let output = python("clipper_admin_session.py", &ports);
    drop(stop);
    heartbeats.join().unwrap();
    assert_passed(&output);
}

/// Runs a script of `tests/peers` with clipper-admin in the module path.
fn python(script: &str, arguments: &[String]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = root.join("../../.deps/clipper_admin");
    let installed = packages.join("clipper_admin").is_dir();
    assert!(installed, "clipper-admin is not installed: run `make test`");
    Command::new("python3")
        .arg(root.join("tests/peers").join(script))
        .args(arguments)
        .env("PYTHONPATH", packages)
        .output()
        .unwrap()
}

fn assert_passed(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

#[test]
fn clipper_admin_works_unchanged() {
    session(&Frontend::start(&settings()).unwrap());
}

#[test]
fn clipper_admin_works_unchanged_with_state_in_redis() {
    let redis = RedisServer::start();
    let mut settings = settings();
    settings.redis.host_and_port = Some(redis.address());
    session(&Frontend::start(&settings).unwrap());
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn clipper_admin_deploys_scales_and_stops_images_with_docker() {
    let cluster = format!("image-driver-test-{}", std::process::id());
    assert_passed(&python("clipper_admin_docker.py", &[cluster]));
}
