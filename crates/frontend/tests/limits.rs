//! Queue limits, hanging replicas and batch sizes, over real sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::{Frontend, Settings};
use model::{DataType, Output};
use testkit::{Peer, deploy, registration, settings};
use wire::{
    query::{Answer, AnswerStatus},
    rpc::{FromFrontend, Reply, Times},
};

const HOUR: Duration = Duration::from_secs(3600);

fn start(settings: &Settings, batch_size: i32) -> Frontend {
    let frontend = Frontend::start(settings).unwrap();
    deploy(&frontend, batch_size, HOUR);
    frontend
}

fn replica(frontend: &Frontend) -> Peer {
    let mut peer = Peer::connect(frontend.ports().rpc_service_port);
    peer.register(&registration("1", DataType::Floats, 1));
    peer
}

/// Answers a request; returns its number of queries.
fn answer(peer: &mut Peer, request: &[Vec<u8>]) -> usize {
    let Ok(FromFrontend::Request(request)) = FromFrontend::decode(request) else {
        panic!("the message is not a request");
    };
    let reply = Reply {
        session: request.head.session,
        message_id: request.head.message_id,
        output_type: DataType::Floats,
        predictions: vec![Ok(Output::Floats(vec![1.0])); request.inputs.len()],
        times: Times::default(),
    };
    peer.send_with(|frames| reply.encode(frames));
    request.inputs.len()
}

#[test]
fn a_full_queue_refuses_queries_at_once() {
    let mut settings = settings();
    settings.queues.max_queue = 2;
    let frontend = start(&settings, 1);
    let mut replica = replica(&frontend);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.send_query(connected, 0, &[0.0]);
    let computing = replica.recv_request();
    (1..4).for_each(|id| requests.send_query(connected, id, &[0.0]));
    let frames = answers.recv();
    let refused = Answer::decode(&frames).unwrap();
    assert_eq!(
        (refused.request_id, refused.status),
        (3, AnswerStatus::Refused)
    );
    let reason = "overloaded: 2 queries (8 bytes) wait for m:1";
    assert_eq!((refused.reason, refused.output), (reason, &b"none"[..]));
    answer(&mut replica, &computing);
    for id in 0..3 {
        let frames = answers.recv();
        let answered = Answer::decode(&frames).unwrap();
        assert_eq!(
            (answered.request_id, answered.status),
            (id, AnswerStatus::Ok)
        );
        if id < 2 {
            let next = replica.recv_request();
            answer(&mut replica, &next);
        }
    }
}

#[test]
fn a_hanging_replica_serves_again_after_its_late_answer() {
    let mut settings = settings();
    settings.queues.hang_after = 1;
    let frontend = start(&settings, 1);
    let mut hanging = replica(&frontend);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.send_query(connected, 0, &[0.0]);
    let first = hanging.recv_request();
    answer(&mut hanging, &first);
    assert_eq!(Answer::decode(&answers.recv()).unwrap().request_id, 0);

    requests.send_query(connected, 1, &[0.0]);
    let stuck = hanging.recv_request();
    let mut other = replica(&frontend);
    let retried = other.recv_request();
    answer(&mut other, &retried);
    let frames = answers.recv();
    let answered = Answer::decode(&frames).unwrap();
    assert_eq!(
        (answered.request_id, answered.status),
        (1, AnswerStatus::Ok)
    );

    answer(&mut hanging, &stuck);
    // The late answer is dropped, and the replica is the one that has been idle longest.
    requests.send_query(connected, 2, &[0.0]);
    requests.send_query(connected, 3, &[0.0]);
    for peer in [&mut hanging, &mut other] {
        let request = peer.recv_request();
        answer(peer, &request);
    }
    let mut ids: Vec<u32> = (0..2)
        .map(|_| Answer::decode(&answers.recv()).unwrap().request_id)
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [2, 3]);
}

#[test]
fn batches_grow_for_a_model_without_a_batch_size() {
    let frontend = start(&settings(), -1);
    let mut replica = replica(&frontend);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    (0..100).for_each(|id| requests.send_query(connected, id, &[0.0]));
    // Requests of a client keep their order: this answer proves that all queries were accepted.
    requests.send_query_to("other", connected, 100, &[0.0]);
    assert_eq!(Answer::decode(&answers.recv()).unwrap().request_id, 100);
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 100 {
        let request = replica.recv_request();
        sizes.push(answer(&mut replica, &request));
    }
    // A full batch in time adds one query, or an eighth.
    let growing: Vec<usize> = (1..13).chain([14, 8]).collect();
    assert_eq!(sizes, growing);
}
