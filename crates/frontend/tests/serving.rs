//! Queries through a real frontend over real sockets, with peers that send exact frames.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::Frontend;
use model::DataType;
use testkit::{Peer, deploy, get, replica, reply_doubled, settings};
use wire::{
    query::{Answer, AnswerStatus},
    rpc::{FromFrontend, Metadata, NewContainer, Reply, Times},
};

const HOUR: Duration = Duration::from_secs(3600);

fn u32s(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn u64s(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn start(batch_size: i32, objective: Duration) -> Frontend {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy(&frontend, batch_size, objective);
    frontend
}

#[test]
fn clippers_client_and_version_3_container_get_clippers_bytes() {
    let frontend = start(2, HOUR);
    let mut container = Peer::connect(frontend.ports().rpc_service_port);
    container.send(&[vec![], u32s(&[2])]);
    let metadata_request = [vec![], u32s(&[3]), u32s(&[2]), u32s(&[1])];
    assert_eq!(container.recv(), metadata_request);
    container.send(&[
        vec![],
        u32s(&[0]),
        b"m".to_vec(),
        b"1".to_vec(),
        b"2".to_vec(),
        u32s(&[3]),
    ]);
    container.send(&[vec![], u32s(&[2])]);
    let heartbeat = [vec![], u32s(&[3]), u32s(&[2]), u32s(&[0])];
    assert_eq!(container.recv(), heartbeat);

    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    answers.send(&[vec![], vec![]]);
    let id = answers.recv();
    assert_eq!((id.len(), id[1].len()), (2, 4));
    let input = u32s(&[1, 2]);
    requests.send(&[
        vec![],
        id[1].clone(),
        u32s(&[0]),
        b"app".to_vec(),
        u32s(&[2]),
        u32s(&[2]),
        input.clone(),
    ]);

    let request = container.recv();
    let message_id = request[3].clone();
    let expected = [
        vec![],
        u32s(&[3]),
        u32s(&[1]),
        message_id.clone(),
        u32s(&[0]),
        u64s(&[24]),
        u64s(&[2, 1, 8]),
        input,
    ];
    assert_eq!(request, expected);
    container.send(&[
        vec![],
        u32s(&[1]),
        message_id,
        u64s(&[16]),
        u64s(&[1, 3]),
        b"cat".to_vec(),
    ]);
    let expected = [vec![], u32s(&[0]), u32s(&[4]), b"cat".to_vec()];
    assert_eq!(answers.recv(), expected);
}

#[test]
fn waiting_queries_share_a_batch_and_get_their_answers() {
    let frontend = start(8, HOUR);
    let (mut replica, _) = replica(&frontend);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.send_query(connected, 0, &[0.0]);
    let first = replica.recv_request();
    // These wait during the first batch, because they are fewer than a full batch.
    (1..6).for_each(|id| requests.send_query(connected, id, &[id as f32]));
    // Requests of a client keep their order: this refusal proves that the queries were accepted.
    requests.send_query_to("other", connected, 99, &[0.0]);
    let refused = answers.recv();
    assert_eq!(Answer::decode(&refused).unwrap().request_id, 99);
    assert_eq!(reply_doubled(&mut replica, &first), 1);
    check(&answers.recv(), 0);
    let second = replica.recv_request();
    assert_eq!(reply_doubled(&mut replica, &second), 5);
    (1..6).for_each(|id| check(&answers.recv(), id));

    fn check(frames: &[Vec<u8>], id: u32) {
        let answer = Answer::decode(frames).unwrap();
        assert_eq!((answer.request_id, answer.status), (id, AnswerStatus::Ok));
        assert_eq!(answer.output, (2.0 * id as f32).to_le_bytes());
        let timing = answer.timing;
        assert_eq!(
            (timing.waited, timing.predicting, timing.replying),
            (2, 10, 3)
        );
        assert!(timing.batch_size >= 1 && timing.away >= 1);
    }
}

#[test]
fn expired_queries_get_the_default_output_and_are_counted() {
    let frontend = start(1, Duration::from_millis(30));
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let (mut replica, _) = replica(&frontend);
    requests.send_query(connected, 1, &[1.0]);
    let late = replica.recv_request();
    (2..5).for_each(|id| requests.send_query(connected, id, &[1.0]));
    let mut reasons = Vec::new();
    for _ in 0..4 {
        let frames = answers.recv();
        let answer = Answer::decode(&frames).unwrap();
        assert_eq!(answer.status, AnswerStatus::Default);
        assert_eq!(answer.output, b"none");
        reasons.push(answer.reason.to_owned());
    }
    reasons.sort();
    reasons.dedup();
    assert_eq!(reasons, ["timed out at the replica", "timed out in queue"]);
    // The late answer is dropped.
    reply_doubled(&mut replica, &late);
    let metrics = get(&frontend, "/metrics");
    assert!(metrics.contains("\"ratio\": \"1\""), "{metrics}");
}

#[test]
fn queries_without_replica_or_application_end_at_once() {
    let frontend = Frontend::start(&settings()).unwrap();
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.send_query(connected, 1, &[1.0]);
    let frames = answers.recv();
    let answer = Answer::decode(&frames).unwrap();
    let expected = (AnswerStatus::Refused, "no application with this name");
    assert_eq!((answer.status, answer.reason), expected);
    deploy(&frontend, 1, HOUR);
    requests.send_query(connected, 2, &[1.0]);
    let frames = answers.recv();
    let answer = Answer::decode(&frames).unwrap();
    let expected = (AnswerStatus::Default, "no replica connected");
    assert_eq!((answer.status, answer.reason), expected);
}

#[test]
fn queries_of_a_dying_replica_are_answered_by_another() {
    let frontend = start(4, HOUR);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let (mut dying, _) = replica(&frontend);
    (0..8).for_each(|id| requests.send_query(connected, id, &[id as f32]));
    dying.recv_request();
    let (mut other, _) = replica(&frontend);
    drop(dying);
    let mut answered = Vec::new();
    while answered.len() < 8 {
        let request = other.recv_request();
        for _ in 0..reply_doubled(&mut other, &request) {
            let frames = answers.recv();
            let answer = Answer::decode(&frames).unwrap();
            assert_eq!(answer.status, AnswerStatus::Ok);
            answered.push(answer.request_id);
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..8).collect::<Vec<_>>());
}

#[test]
fn a_malformed_answer_ejects_the_replica_without_losing_queries() {
    let frontend = start(1, HOUR);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let (mut malformed, _) = replica(&frontend);
    requests.send_query(connected, 1, &[4.0]);
    malformed.recv_request();
    let (mut other, _) = replica(&frontend);
    malformed.send(&[vec![], u32s(&[1]), vec![1, 2, 3]]);
    let request = other.recv_request();
    reply_doubled(&mut other, &request);
    let frames = answers.recv();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!(
        (answer.request_id, answer.output),
        (1, &8_f32.to_le_bytes()[..])
    );
}

#[test]
fn too_few_outputs_fail_every_query_of_the_batch() {
    let frontend = start(2, HOUR);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let (mut replica, session) = replica(&frontend);
    requests.send_query(connected, 1, &[4.0]);
    let request = replica.recv_request();
    let Ok(FromFrontend::Request(request)) = FromFrontend::decode(&request) else {
        panic!("the message is not a request");
    };
    let reply = Reply {
        session: Some(session),
        message_id: request.head.message_id,
        output_type: DataType::Floats,
        predictions: vec![],
        times: Times::default(),
    };
    replica.send_with(|frames| reply.encode(frames));
    let frames = answers.recv();
    let answer = Answer::decode(&frames).unwrap();
    let expected = (AnswerStatus::Error, "model failed: 0 outputs to 1 inputs");
    assert_eq!(
        (answer.status, answer.reason, answer.output),
        (expected.0, expected.1, &b"none"[..])
    );
}

#[test]
fn answers_of_an_older_session_are_dropped() {
    let frontend = start(1, HOUR);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let (mut replica, session) = replica(&frontend);
    requests.send_query(connected, 1, &[4.0]);
    let request = replica.recv_request();
    let mut stale = request.clone();
    stale[3][..8].copy_from_slice(&(session ^ 1).to_le_bytes());
    stale
        .last_mut()
        .unwrap()
        .copy_from_slice(&9_f32.to_le_bytes());
    reply_doubled(&mut replica, &stale);
    reply_doubled(&mut replica, &request);
    let frames = answers.recv();
    assert_eq!(Answer::decode(&frames).unwrap().output, 8_f32.to_le_bytes());
}

#[test]
fn malformed_messages_on_any_port_do_no_harm() {
    let frontend = start(1, HOUR);
    let ports = frontend.ports();
    for port in [ports.rpc_service_port, ports.send_port, ports.recv_port] {
        let mut peer = Peer::connect(port);
        for size in [0, 1, 4, 8, 28, 68, 5000] {
            for count in 1..10 {
                peer.send(&vec![vec![0xff; size]; count]);
                let mut delimited = vec![vec![0; size]; count];
                delimited.insert(0, vec![]);
                peer.send(&delimited);
            }
        }
    }
    let mut answers = Peer::connect(ports.send_port);
    let mut requests = Peer::connect(ports.recv_port);
    let connected = answers.connect_native();
    let (mut replica, _) = replica(&frontend);
    requests.send_query(connected, 1, &[4.0]);
    let request = replica.recv_request();
    reply_doubled(&mut replica, &request);
    let frames = answers.recv();
    assert_eq!(Answer::decode(&frames).unwrap().output, 8_f32.to_le_bytes());
}

#[test]
fn a_replica_of_another_input_type_is_refused() {
    let frontend = start(1, HOUR);
    let mut peer = Peer::connect(frontend.ports().rpc_service_port);
    let new = NewContainer {
        name: "m".into(),
        version: "1".into(),
        input_type: DataType::Strings,
        metadata: Some(Metadata::default()),
    };
    peer.send_with(|frames| new.encode(frames));
    let reply = peer.recv();
    let refused = FromFrontend::Refused("m:1 takes floats, not strings");
    assert_eq!(FromFrontend::decode(&reply), Ok(refused));
}

#[test]
fn a_stopping_frontend_sends_goodbye_to_model_servers() {
    let frontend = start(1, HOUR);
    let (mut replica, _) = replica(&frontend);
    drop(frontend);
    let last = replica.recv_request();
    assert_eq!(FromFrontend::decode(&last), Ok(FromFrontend::Goodbye));
}

#[test]
fn adding_a_model_refuses_early_replicas_of_another_type() {
    let frontend = Frontend::start(&settings()).unwrap();
    let mut peer = Peer::connect(frontend.ports().rpc_service_port);
    peer.register(&NewContainer {
        name: "m".into(),
        version: "1".into(),
        input_type: DataType::Strings,
        metadata: Some(Metadata::default()),
    });
    deploy(&frontend, 1, HOUR);
    let reply = peer.recv_request();
    let refused = FromFrontend::Refused("m:1 takes floats");
    assert_eq!(FromFrontend::decode(&reply), Ok(refused));
}
