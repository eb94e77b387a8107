//! Faults of peers of the older generations, which must not affect other queries.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use clap::Parser;
use frontend::{Frontend, Settings};
use testkit::{Peer, TIMEOUT, admin, deploy, settings};
use wire::query::Answer;

use crate::frames::{
    HOUR, client, container_of_2017, high_perf_container, read_u32, registration, request,
    response, start, u32s,
};

#[test]
fn responses_without_a_known_connection_do_no_harm() {
    let frontend = start(1);
    let (mut batches, mut responses, connection) = high_perf_container(&frontend);
    let (mut answers, mut requests, id) = client(&frontend, b"");
    requests.send(&request(&id, 0, &[1.0]));
    let batch = batches.recv();
    let unknown = u32s(&[read_u32(&connection).wrapping_sub(1)]);
    responses.send(&response(&unknown, &batch[2], 9.0, [0.0; 2]));
    responses.send(&[vec![]]);
    responses.send(&[vec![], vec![1, 2, 3], vec![]]);
    responses.send(&response(
        &connection,
        &u32s(&[read_u32(&batch[2]) ^ 1]),
        9.0,
        [0.0; 2],
    ));
    responses.send(&response(&connection, &batch[2], 1.5, [0.0; 2]));
    assert_eq!(answers.recv()[3], 1.5_f32.to_le_bytes());
}

#[test]
fn a_container_that_registers_again_gets_its_batch_again() {
    let frontend = start(1);
    let (mut batches, mut responses, old) = high_perf_container(&frontend);
    let (mut answers, mut requests, id) = client(&frontend, b"");
    requests.send(&request(&id, 0, &[1.0]));
    let lost = batches.recv();
    batches.send(&registration("2"));
    let connection = batches.recv().pop().unwrap();
    assert_ne!(connection, old);
    let again = batches.recv();
    assert_eq!(again.last(), lost.last());
    responses.send(&response(&old, &again[2], 9.0, [0.0; 2]));
    responses.send(&response(&connection, &again[2], 1.5, [0.0; 2]));
    assert_eq!(answers.recv()[3], 1.5_f32.to_le_bytes());
}

#[test]
fn another_container_answers_the_queries_of_a_lost_one() {
    let mut settings = Settings::parse_from(["frontend", "--hang_after=1"]);
    settings.ports = testkit::settings().ports;
    let frontend = Frontend::start(&settings).unwrap();
    deploy(&frontend, 1, HOUR);
    let (mut batches, mut responses, connection) = high_perf_container(&frontend);
    let (mut answers, mut requests, id) = client(&frontend, b"");
    requests.send(&request(&id, 0, &[1.0]));
    let batch = batches.recv();
    responses.send(&response(&connection, &batch[2], 1.5, [0.0; 2]));
    assert_eq!(answers.recv()[3], 1.5_f32.to_le_bytes());
    drop((batches, responses));
    let (mut batches, mut responses, connection) = high_perf_container(&frontend);
    (1..5).for_each(|request_id| requests.send(&request(&id, request_id, &[1.0])));
    for _ in 1..5 {
        let batch = batches.recv();
        responses.send(&response(&connection, &batch[2], 2.5, [0.0; 2]));
        assert_eq!(answers.recv()[3], 2.5_f32.to_le_bytes());
    }
}

#[test]
fn containers_of_2017_are_not_sent_strings_with_nul() {
    let frontend = Frontend::start(&settings()).unwrap();
    for (endpoint, body) in [
        (
            "add_app",
            r#"{"name":"app","input_type":"strings","default_output":"none","latency_slo_micros":3600000000}"#,
        ),
        (
            "add_model",
            r#"{"model_name":"m","model_version":"1","labels":[],"input_type":"strings","container_name":"","model_data_path":"","batch_size":3}"#,
        ),
        (
            "add_model_links",
            r#"{"app_name":"app","model_names":["m"]}"#,
        ),
    ] {
        assert_eq!(admin(&frontend, endpoint, body).0, 200);
    }
    let mut container = container_of_2017(&frontend, "4");
    let (mut answers, mut requests, id) = client(&frontend, b"");
    let text = |request_id: u32, text: &[u8]| {
        let mut request = request(&id, request_id, &[]);
        request[4] = u32s(&[4]);
        request[5] = u32s(&[text.len() as u32]);
        request[6] = text.to_vec();
        request
    };
    let answer = |container: &mut Peer, batch: &[Vec<u8>]| {
        let texts: Vec<_> = batch[7].split(|byte| *byte == 0).collect();
        let texts = &texts[..texts.len() - 1];
        let lengths: Vec<_> = texts.iter().map(|text| text.len() as u32).collect();
        let block = [u32s(&[texts.len() as u32]), u32s(&lengths), texts.concat()].concat();
        let length = u32s(&[block.len() as u32]);
        container.send(&[
            vec![],
            u32s(&[1]),
            batch[2].clone(),
            u32s(&[4]),
            length,
            block,
        ]);
    };
    let inputs: [&[u8]; 3] = [b"first", b"a\0b", b"cat"];
    (0..)
        .zip(inputs)
        .for_each(|(id, input)| requests.send(&text(id, input)));
    let mut received = BTreeMap::new();
    let deadline = Instant::now() + TIMEOUT;
    while received.len() < 3 {
        assert!(Instant::now() < deadline, "only {received:?}");
        if let Some(batch) = container.recv_within(Duration::from_millis(5)) {
            answer(&mut container, &batch);
        }
        let answer = answers.recv_within(Duration::from_millis(5));
        received.extend(answer.map(|mut answer| (read_u32(&answer[1]), answer.remove(3))));
    }
    let outputs: Vec<_> = received.into_values().collect();
    assert_eq!(outputs, [&b"first"[..], b"none", b"cat"]);
}

#[test]
fn malformed_messages_on_any_port_do_no_harm() {
    let frontend = start(1);
    let ports = frontend.ports();
    for port in [
        ports.rpc_2017_port,
        ports.rpc_send_port,
        ports.rpc_recv_port,
    ] {
        let mut peer = Peer::connect(port);
        for size in [0, 1, 4, 8, 12, 5000] {
            for count in 1..11 {
                peer.send(&vec![vec![0xff; size]; count]);
                let mut delimited = vec![vec![0; size]; count];
                delimited.insert(0, vec![]);
                peer.send(&delimited);
            }
        }
    }
    let mut container = container_of_2017(&frontend, "2");
    let mut answers = Peer::connect(ports.send_port);
    let connected = answers.connect_native();
    let mut requests = Peer::connect(ports.recv_port);
    requests.send_query(connected, 1, &[4.0]);
    // The malformed messages registered no replica: this is the only one.
    let batch = container.recv();
    let block = u32s(&[1, 4, 7]);
    container.send(&[
        vec![],
        u32s(&[1]),
        batch[2].clone(),
        u32s(&[1]),
        u32s(&[12]),
        block,
    ]);
    let frames = answers.recv();
    assert_eq!(Answer::decode(&frames).unwrap().output, u32s(&[7]));
}
