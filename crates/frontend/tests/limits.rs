//! What the frontend refuses, whom it gives up, and how large it makes batches, over real sockets.
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

/// Answers a request; tells how many queries it held.
fn answer(peer: &mut Peer, request: &[Vec<u8>]) -> usize {
    let Ok(FromFrontend::Request(request)) = FromFrontend::decode(request) else {
        panic!("no request");
    };
    let reply = Reply {
        session: request.head.session,
        message_id: request.head.message_id,
        output_type: DataType::Floats,
        predictions: vec![Ok(Output::Floats(vec![1.0])); request.inputs.len()],
        times: Times::default(),
    };
    peer.say_with(|frames| reply.encode(frames));
    request.inputs.len()
}

#[test]
fn a_query_that_finds_the_queue_full_is_refused_at_once_and_the_others_are_answered() {
    let mut settings = settings();
    settings.queues.max_queue = 2;
    let frontend = start(&settings, 1);
    let mut replica = replica(&frontend);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.ask(connected, 0, &[0.0]);
    let computing = replica.hear_request();
    (1..4).for_each(|id| requests.ask(connected, id, &[0.0]));
    let frames = answers.hear();
    let refused = Answer::decode(&frames).unwrap();
    assert_eq!(
        (refused.request_id, refused.status),
        (3, AnswerStatus::Refused)
    );
    let reason = "overloaded: 2 queries (8 bytes) wait for m:1";
    assert_eq!((refused.reason, refused.output), (reason, &b"none"[..]));
    answer(&mut replica, &computing);
    for id in 0..3 {
        let frames = answers.hear();
        let answered = Answer::decode(&frames).unwrap();
        assert_eq!(
            (answered.request_id, answered.status),
            (id, AnswerStatus::Ok)
        );
        if id < 2 {
            let next = replica.hear_request();
            answer(&mut replica, &next);
        }
    }
}

#[test]
fn a_replica_that_hangs_is_worked_around_and_serves_again_after_its_late_answer() {
    let mut settings = settings();
    settings.queues.hang_after = 1;
    let frontend = start(&settings, 1);
    let mut hanging = replica(&frontend);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.ask(connected, 0, &[0.0]);
    let first = hanging.hear_request();
    answer(&mut hanging, &first);
    assert_eq!(Answer::decode(&answers.hear()).unwrap().request_id, 0);

    requests.ask(connected, 1, &[0.0]);
    let stuck = hanging.hear_request();
    let mut other = replica(&frontend);
    let retried = other.hear_request();
    answer(&mut other, &retried);
    let frames = answers.hear();
    let answered = Answer::decode(&frames).unwrap();
    assert_eq!(
        (answered.request_id, answered.status),
        (1, AnswerStatus::Ok)
    );

    answer(&mut hanging, &stuck);
    // Its answer is dropped, and it is the one that has waited longest.
    requests.ask(connected, 2, &[0.0]);
    requests.ask(connected, 3, &[0.0]);
    for peer in [&mut hanging, &mut other] {
        let request = peer.hear_request();
        answer(peer, &request);
    }
    let mut ids: Vec<u32> = (0..2)
        .map(|_| Answer::decode(&answers.hear()).unwrap().request_id)
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [2, 3]);
}

#[test]
fn a_model_without_a_batch_size_gets_larger_batches_as_long_as_they_are_in_time() {
    let frontend = start(&settings(), -1);
    let mut replica = replica(&frontend);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    (0..100).for_each(|id| requests.ask(connected, id, &[0.0]));
    // Answered after all the others, which have been taken then: requests of one client keep their order.
    requests.ask_app("other", connected, 100, &[0.0]);
    assert_eq!(Answer::decode(&answers.hear()).unwrap().request_id, 100);
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 100 {
        let request = replica.hear_request();
        sizes.push(answer(&mut replica, &request));
    }
    let growing: Vec<usize> = (1..14).collect();
    assert_eq!((&sizes[..13], sizes[13]), (&growing[..], 9));
}
