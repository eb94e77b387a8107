//! Containers of Clipper's generations that lose their connection during a batch. If the process was killed, another
//! replica answers the batch in time; if the container connects again, it answers itself.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{BufRead, BufReader},
    time::Duration,
};

use frontend::Frontend;
use model::{DataType, Output};
use testkit::{Behaviour, FaultyReplica, Peer, Script, deploy, replicas, settings, wait_until};
use wire::{
    BoundPorts,
    query::{Answer, AnswerStatus},
    rpc::{FromContainer, FromFrontend, NewContainer},
};

/// The input to which the Python containers never answer.
const HANGING: f32 = -1.0;

/// Kills a container while it computes, and checks that another replica answers its query.
fn kill_during_a_batch(container: &str, ports: impl Fn(BoundPorts) -> Vec<u16>) {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy(&frontend, 1, Duration::from_secs(1));
    let ports = ports(frontend.ports());
    let mut arguments: Vec<_> = ports.iter().map(u16::to_string).collect();
    arguments.extend(["m", "1", "floats"].map(str::to_owned));
    let mut killed = Script::start(container, arguments);
    let mut output = BufReader::new(killed.output());
    wait_until("the container registers", || {
        replicas(&frontend).contains("replica_id").then_some(())
    });
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.send_query(connected, 0, &[HANGING]);
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "computing\n");
    let _other = FaultyReplica::start(&frontend, Behaviour::Correct);
    drop(killed);
    let frames = answers.recv();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!((answer.status, answer.reason), (AnswerStatus::Ok, ""));
    assert_eq!(answer.output, (2.0 * HANGING).to_le_bytes());
}

#[test]
fn another_replica_answers_for_a_killed_version_3_container() {
    kill_during_a_batch("container_3.py", |ports| vec![ports.rpc_service_port]);
}

#[test]
fn another_replica_answers_for_a_killed_2017_container() {
    kill_during_a_batch("container_2017.py", |ports| vec![ports.rpc_2017_port]);
}

#[test]
fn another_replica_answers_for_a_killed_high_performance_container() {
    kill_during_a_batch("container_highperf.py", |ports| {
        vec![ports.rpc_send_port, ports.rpc_recv_port]
    });
}

#[test]
fn a_container_that_reconnects_keeps_its_batch() {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy(&frontend, 1, Duration::from_secs(3600));
    let port = frontend.ports().rpc_service_port;
    let mut container = Peer::connect_named(port, "container");
    container.register(&NewContainer {
        name: "m".into(),
        version: "1".into(),
        input_type: DataType::Floats,
        metadata: None,
    });
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    for request in 0..20 {
        requests.send_query(connected, request, &[1.0]);
        let batch = container.recv_request();
        // libzmq ignores a connection whose identity another one still has.
        let reply = wait_until("the container is connected", || {
            container.reconnect(port);
            container.try_send(FromContainer::encode_heartbeat);
            container.recv_within(Duration::from_millis(20))
        });
        // Not a request to register.
        assert_eq!(
            FromFrontend::decode(&reply),
            Ok(FromFrontend::KeepAlive),
            "{request}"
        );
        let output = Output::Text("own".to_owned());
        container.reply(&batch, DataType::Strings, vec![Ok(output)]);
        let frames = answers.recv();
        let answer = Answer::decode(&frames).unwrap();
        assert_eq!(
            (answer.status, answer.output),
            (AnswerStatus::Ok, &b"own"[..])
        );
    }
}
