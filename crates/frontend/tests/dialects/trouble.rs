//! What must not happen to others when one of the older generations is wrong, gone, or cannot say a thing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use clap::Parser;
use frontend::{Frontend, Settings};
use testkit::{PATIENCE, Peer, admin, deploy, settings};
use wire::query::Answer;

use crate::frames::{
    HOUR, client, container_of_2017, high_perf_container, number, registration, request, returned,
    start, u32s,
};

#[test]
fn responses_that_name_no_connection_or_an_unknown_one_stop_nothing() {
    let frontend = start(1);
    let (mut batches, mut responses, connection) = high_perf_container(&frontend);
    let (mut answers, mut requests, id) = client(&frontend, b"");
    requests.say(&request(&id, 0, &[1.0]));
    let batch = batches.hear();
    let unknown = u32s(&[number(&connection).wrapping_sub(1)]);
    responses.say(&returned(&unknown, &batch[2], 9.0, [0.0; 2]));
    responses.say(&[vec![]]);
    responses.say(&[vec![], vec![1, 2, 3], vec![]]);
    responses.say(&returned(
        &connection,
        &u32s(&[number(&batch[2]) ^ 1]),
        9.0,
        [0.0; 2],
    ));
    responses.say(&returned(&connection, &batch[2], 1.5, [0.0; 2]));
    assert_eq!(answers.hear()[3], 1.5_f32.to_le_bytes());
}

#[test]
fn a_high_performance_container_that_registers_again_gets_a_new_connection_and_its_batch_again() {
    let frontend = start(1);
    let (mut batches, mut responses, old) = high_perf_container(&frontend);
    let (mut answers, mut requests, id) = client(&frontend, b"");
    requests.say(&request(&id, 0, &[1.0]));
    let lost = batches.hear();
    batches.say(&registration("2"));
    let connection = batches.hear().pop().unwrap();
    assert_ne!(connection, old);
    let again = batches.hear();
    assert_eq!(again.last(), lost.last());
    responses.say(&returned(&old, &again[2], 9.0, [0.0; 2]));
    responses.say(&returned(&connection, &again[2], 1.5, [0.0; 2]));
    assert_eq!(answers.hear()[3], 1.5_f32.to_le_bytes());
}

#[test]
fn the_queries_of_a_high_performance_container_that_is_gone_are_answered_by_another() {
    let mut settings = Settings::parse_from(["frontend", "--hang_after=1"]);
    settings.ports = testkit::settings().ports;
    let frontend = Frontend::start(&settings).unwrap();
    deploy(&frontend, 1, HOUR);
    let (mut batches, mut responses, connection) = high_perf_container(&frontend);
    let (mut answers, mut requests, id) = client(&frontend, b"");
    requests.say(&request(&id, 0, &[1.0]));
    let batch = batches.hear();
    responses.say(&returned(&connection, &batch[2], 1.5, [0.0; 2]));
    assert_eq!(answers.hear()[3], 1.5_f32.to_le_bytes());
    drop((batches, responses));
    let (mut batches, mut responses, connection) = high_perf_container(&frontend);
    (1..5).for_each(|request_id| requests.say(&request(&id, request_id, &[1.0])));
    for _ in 1..5 {
        let batch = batches.hear();
        responses.say(&returned(&connection, &batch[2], 2.5, [0.0; 2]));
        assert_eq!(answers.hear()[3], 2.5_f32.to_le_bytes());
    }
}

#[test]
fn a_string_with_a_nul_is_refused_by_2017_and_its_neighbour_is_not() {
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
        container.say(&[
            vec![],
            u32s(&[1]),
            batch[2].clone(),
            u32s(&[4]),
            length,
            block,
        ]);
    };
    let questions: [&[u8]; 3] = [b"first", b"a\0b", b"cat"];
    (0..)
        .zip(questions)
        .for_each(|(id, question)| requests.say(&text(id, question)));
    let mut heard = BTreeMap::new();
    let limit = Instant::now() + PATIENCE;
    while heard.len() < 3 {
        assert!(Instant::now() < limit, "only {heard:?}");
        if let Some(batch) = container.hear_within(Duration::from_millis(5)) {
            answer(&mut container, &batch);
        }
        let answer = answers.hear_within(Duration::from_millis(5));
        heard.extend(answer.map(|mut answer| (number(&answer[1]), answer.remove(3))));
    }
    let outputs: Vec<_> = heard.into_values().collect();
    assert_eq!(outputs, [&b"first"[..], b"none", b"cat"]);
}

#[test]
fn every_port_takes_nonsense() {
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
                peer.say(&vec![vec![0xff; size]; count]);
                let mut opened = vec![vec![0; size]; count];
                opened.insert(0, vec![]);
                peer.say(&opened);
            }
        }
    }
    let mut container = container_of_2017(&frontend, "2");
    let mut answers = Peer::connect(ports.send_port);
    let connected = answers.connect_native();
    let mut requests = Peer::connect(ports.recv_port);
    requests.ask(connected, 1, &[4.0]);
    // The nonsense has made no replica: this is the only one.
    let batch = container.hear();
    let block = u32s(&[1, 4, 7]);
    container.say(&[
        vec![],
        u32s(&[1]),
        batch[2].clone(),
        u32s(&[1]),
        u32s(&[12]),
        block,
    ]);
    let frames = answers.hear();
    assert_eq!(Answer::decode(&frames).unwrap().output, u32s(&[7]));
}
