//! PyPI's `clipper-admin`, unchanged, against this frontend.
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
use testkit::{Peer, Redis, settings};
use wire::rpc::{FromContainer, Metadata, NewContainer};

/// Runs the session against a frontend, which a replica has joined before its model was registered.
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
    let alive = thread::spawn(move || {
        let second = Duration::from_secs(1);
        while stopped.recv_timeout(second) == Err(mpsc::RecvTimeoutError::Timeout) {
            replica.say_with(FromContainer::encode_heartbeat);
        }
    });
    let ports = [ports.query_port, ports.admin_port].map(|port| format!("127.0.0.1:{port}"));
    let ended = python("clipper_admin_session.py", &ports);
    drop(stop);
    alive.join().unwrap();
    assert_passed(&ended);
}

/// Runs a script of `tests/peers` with clipper-admin at hand.
fn python(script: &str, arguments: &[String]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = root.join("../../.deps/clipper_admin");
    let there = packages.join("clipper_admin").is_dir();
    assert!(there, "clipper-admin is not installed: make test");
    Command::new("python3")
        .arg(root.join("tests/peers").join(script))
        .args(arguments)
        .env("PYTHONPATH", packages)
        .output()
        .unwrap()
}

fn assert_passed(ended: &Output) {
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
}

#[test]
fn clipper_admin_works_unchanged() {
    session(&Frontend::start(&settings()).unwrap());
}

#[test]
fn clipper_admin_works_unchanged_where_the_state_is_in_redis() {
    let redis = Redis::start();
    let mut settings = settings();
    settings.redis.host_and_port = Some(redis.address());
    session(&Frontend::start(&settings).unwrap());
}

#[test]
#[ignore = "needs a Docker engine and images: make test-docker"]
fn clipper_admin_deploys_scales_and_stops_our_images_with_docker() {
    let cluster = format!("image-driver-test-{}", std::process::id());
    assert_passed(&python("clipper_admin_docker.py", &[cluster]));
}
