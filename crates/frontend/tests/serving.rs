//! Queries through a real frontend over real sockets, with peers that say exact frames.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::Frontend;
use model::DataType;
use testkit::{Peer, deploy, double, get, replica, settings};
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
fn clippers_client_and_a_version_3_container_see_clippers_bytes() {
    let frontend = start(2, HOUR);
    let mut container = Peer::connect(frontend.ports().rpc_service_port);
    container.say(&[vec![], u32s(&[2])]);
    let wanted = [vec![], u32s(&[3]), u32s(&[2]), u32s(&[1])];
    assert_eq!(container.hear(), wanted);
    container.say(&[
        vec![],
        u32s(&[0]),
        b"m".to_vec(),
        b"1".to_vec(),
        b"2".to_vec(),
        u32s(&[3]),
    ]);
    container.say(&[vec![], u32s(&[2])]);
    let alive = [vec![], u32s(&[3]), u32s(&[2]), u32s(&[0])];
    assert_eq!(container.hear(), alive);

    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    answers.say(&[vec![], vec![]]);
    let id = answers.hear();
    assert_eq!((id.len(), id[1].len()), (2, 4));
    let input = u32s(&[1, 2]);
    requests.say(&[
        vec![],
        id[1].clone(),
        u32s(&[0]),
        b"app".to_vec(),
        u32s(&[2]),
        u32s(&[2]),
        input.clone(),
    ]);

    let request = container.hear();
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
    container.say(&[
        vec![],
        u32s(&[1]),
        message_id,
        u64s(&[16]),
        u64s(&[1, 3]),
        b"cat".to_vec(),
    ]);
    let expected = [vec![], u32s(&[0]), u32s(&[4]), b"cat".to_vec()];
    assert_eq!(answers.hear(), expected);
}

#[test]
fn waiting_queries_go_in_one_batch_and_each_gets_its_own_answer() {
    let frontend = start(8, HOUR);
    let (mut replica, _) = replica(&frontend);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.ask(connected, 0, &[0.0]);
    let first = replica.hear_request();
    // While the first is computed, these wait: fewer than a full batch.
    (1..6).for_each(|id| requests.ask(connected, id, &[id as f32]));
    // Refused at once, and after those have been taken: requests of one client keep their order.
    requests.ask_app("other", connected, 99, &[0.0]);
    let refused = answers.hear();
    assert_eq!(Answer::decode(&refused).unwrap().request_id, 99);
    assert_eq!(double(&mut replica, &first), 1);
    check(&answers.hear(), 0);
    let second = replica.hear_request();
    assert_eq!(double(&mut replica, &second), 5);
    (1..6).for_each(|id| check(&answers.hear(), id));

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
fn a_query_whose_time_has_passed_gets_the_default_and_the_reason_and_is_counted() {
    let frontend = start(1, Duration::from_millis(30));
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let (mut replica, _) = replica(&frontend);
    requests.ask(connected, 1, &[1.0]);
    let late = replica.hear_request();
    (2..5).for_each(|id| requests.ask(connected, id, &[1.0]));
    let mut reasons = Vec::new();
    for _ in 0..4 {
        let frames = answers.hear();
        let answer = Answer::decode(&frames).unwrap();
        assert_eq!(answer.status, AnswerStatus::Default);
        assert_eq!(answer.output, b"none");
        reasons.push(answer.reason.to_owned());
    }
    reasons.sort();
    reasons.dedup();
    assert_eq!(reasons, ["timed out at the replica", "timed out in queue"]);
    // The late answer goes nowhere, and the replica serves on.
    double(&mut replica, &late);
    let metrics = get(&frontend, "/metrics");
    assert!(metrics.contains("\"ratio\": \"1\""), "{metrics}");
}

#[test]
fn without_a_replica_the_default_comes_at_once_and_an_unknown_application_is_refused() {
    let frontend = Frontend::start(&settings()).unwrap();
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.ask(connected, 1, &[1.0]);
    let frames = answers.hear();
    let answer = Answer::decode(&frames).unwrap();
    let expected = (AnswerStatus::Refused, "no application with this name");
    assert_eq!((answer.status, answer.reason), expected);
    deploy(&frontend, 1, HOUR);
    requests.ask(connected, 2, &[1.0]);
    let frames = answers.hear();
    let answer = Answer::decode(&frames).unwrap();
    let expected = (AnswerStatus::Default, "no replica connected");
    assert_eq!((answer.status, answer.reason), expected);
}

#[test]
fn the_queries_of_a_replica_that_dies_are_answered_by_another() {
    let frontend = start(4, HOUR);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let (mut dying, _) = replica(&frontend);
    (0..8).for_each(|id| requests.ask(connected, id, &[id as f32]));
    dying.hear_request();
    let (mut other, _) = replica(&frontend);
    drop(dying);
    let mut answered = Vec::new();
    while answered.len() < 8 {
        let request = other.hear_request();
        for _ in 0..double(&mut other, &request) {
            let frames = answers.hear();
            let answer = Answer::decode(&frames).unwrap();
            assert_eq!(answer.status, AnswerStatus::Ok);
            answered.push(answer.request_id);
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..8).collect::<Vec<_>>());
}

#[test]
fn a_model_server_that_answers_nonsense_is_given_up_and_its_queries_are_not_lost() {
    let frontend = start(1, HOUR);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let (mut bad, _) = replica(&frontend);
    requests.ask(connected, 1, &[4.0]);
    bad.hear_request();
    let (mut good, _) = replica(&frontend);
    bad.say(&[vec![], u32s(&[1]), vec![1, 2, 3]]);
    let request = good.hear_request();
    double(&mut good, &request);
    let frames = answers.hear();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!(
        (answer.request_id, answer.output),
        (1, &8_f32.to_le_bytes()[..])
    );
}

#[test]
fn too_few_outputs_are_an_error_for_every_query_of_the_batch() {
    let frontend = start(2, HOUR);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let (mut replica, session) = replica(&frontend);
    requests.ask(connected, 1, &[4.0]);
    let request = replica.hear_request();
    let Ok(FromFrontend::Request(request)) = FromFrontend::decode(&request) else {
        panic!("no request");
    };
    let reply = Reply {
        session: Some(session),
        message_id: request.head.message_id,
        output_type: DataType::Floats,
        predictions: vec![],
        times: Times::default(),
    };
    replica.say_with(|frames| reply.encode(frames));
    let frames = answers.hear();
    let answer = Answer::decode(&frames).unwrap();
    let expected = (AnswerStatus::Error, "model failed: 0 outputs to 1 inputs");
    assert_eq!(
        (answer.status, answer.reason, answer.output),
        (expected.0, expected.1, &b"none"[..])
    );
}

#[test]
fn an_answer_of_an_older_session_is_dropped() {
    let frontend = start(1, HOUR);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let (mut replica, session) = replica(&frontend);
    requests.ask(connected, 1, &[4.0]);
    let request = replica.hear_request();
    let mut stale = request.clone();
    stale[3][..8].copy_from_slice(&(session ^ 1).to_le_bytes());
    stale
        .last_mut()
        .unwrap()
        .copy_from_slice(&9_f32.to_le_bytes());
    double(&mut replica, &stale);
    double(&mut replica, &request);
    let frames = answers.hear();
    assert_eq!(Answer::decode(&frames).unwrap().output, 8_f32.to_le_bytes());
}

#[test]
fn nonsense_on_any_port_stops_nothing() {
    let frontend = start(1, HOUR);
    let ports = frontend.ports();
    for port in [ports.rpc_service_port, ports.send_port, ports.recv_port] {
        let mut peer = Peer::connect(port);
        for size in [0, 1, 4, 8, 28, 68, 5000] {
            for count in 1..10 {
                peer.say(&vec![vec![0xff; size]; count]);
                let mut opened = vec![vec![0; size]; count];
                opened.insert(0, vec![]);
                peer.say(&opened);
            }
        }
    }
    let mut answers = Peer::connect(ports.send_port);
    let mut requests = Peer::connect(ports.recv_port);
    let connected = answers.connect_native();
    let (mut replica, _) = replica(&frontend);
    requests.ask(connected, 1, &[4.0]);
    let request = replica.hear_request();
    double(&mut replica, &request);
    let frames = answers.hear();
    assert_eq!(Answer::decode(&frames).unwrap().output, 8_f32.to_le_bytes());
}

#[test]
fn a_replica_of_another_input_type_is_refused_with_the_reason() {
    let frontend = start(1, HOUR);
    let mut peer = Peer::connect(frontend.ports().rpc_service_port);
    let new = NewContainer {
        name: "m".into(),
        version: "1".into(),
        input_type: DataType::Strings,
        metadata: Some(Metadata::default()),
    };
    peer.say_with(|frames| new.encode(frames));
    let reply = peer.hear();
    let refused = FromFrontend::Refused("m:1 takes floats, not strings");
    assert_eq!(FromFrontend::decode(&reply), Ok(refused));
}

#[test]
fn a_stopping_frontend_says_goodbye_to_its_model_servers() {
    let frontend = start(1, HOUR);
    let (mut replica, _) = replica(&frontend);
    drop(frontend);
    let last = replica.hear_request();
    assert_eq!(FromFrontend::decode(&last), Ok(FromFrontend::Goodbye));
}

#[test]
fn a_replica_that_came_before_its_model_was_added_is_refused_if_it_takes_another_type() {
    let frontend = Frontend::start(&settings()).unwrap();
    let mut peer = Peer::connect(frontend.ports().rpc_service_port);
    peer.register(&NewContainer {
        name: "m".into(),
        version: "1".into(),
        input_type: DataType::Strings,
        metadata: Some(Metadata::default()),
    });
    deploy(&frontend, 1, HOUR);
    let reply = peer.hear_request();
    let refused = FromFrontend::Refused("m:1 takes floats");
    assert_eq!(FromFrontend::decode(&reply), Ok(refused));
}
