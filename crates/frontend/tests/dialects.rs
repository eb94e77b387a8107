//! Clipper's older generations, container and client, as exact frames through a real frontend over real sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use frontend::{ClientProtocol, Frontend, Settings};
use testkit::{PATIENCE, Peer, admin, deploy, settings};
use wire::query::Answer;

const HOUR: Duration = Duration::from_secs(3600);

fn u32s(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn size(size: u64) -> Vec<u8> {
    size.to_le_bytes().to_vec()
}

fn number(frame: &[u8]) -> u32 {
    u32::from_le_bytes(frame.try_into().unwrap())
}

fn start(batch_size: i32) -> Frontend {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy(&frontend, batch_size, HOUR);
    frontend
}

/// The registration of model `m`, which both older generations have.
fn registration(type_code: &str) -> [Vec<u8>; 5] {
    let texts = ["m", "1", type_code].map(|text| text.as_bytes().to_vec());
    let [name, version, input_type] = texts;
    [vec![], u32s(&[0]), name, version, input_type]
}

/// A container of 2017 that has registered as one of that time does.
fn container_of_2017(frontend: &Frontend, type_code: &str) -> Peer {
    let mut container = Peer::connect(frontend.ports().rpc_2017_port);
    container.say(&[vec![], u32s(&[2])]);
    let wanted = [vec![], u32s(&[2]), u32s(&[1])];
    assert_eq!(container.hear(), wanted);
    container.say(&registration(type_code));
    container.say(&[vec![], u32s(&[2])]);
    let alive = [vec![], u32s(&[2]), u32s(&[0])];
    assert_eq!(container.hear(), alive);
    container
}

/// Both sockets of a high-performance container that has registered, and its connection id.
fn high_perf_container(frontend: &Frontend) -> (Peer, Peer, Vec<u8>) {
    let mut requests = Peer::connect(frontend.ports().rpc_send_port);
    requests.say(&registration("2"));
    let [delimiter, connection] = requests.hear().try_into().unwrap();
    assert_eq!((delimiter.len(), connection.len()), (0, 4));
    let responses = Peer::connect(frontend.ports().rpc_recv_port);
    (requests, responses, connection)
}

/// What a high-performance container says of one output, a float.
fn returned(connection: &[u8], message_id: &[u8], output: f32, times: [f64; 2]) -> Vec<Vec<u8>> {
    let block = [&u32s(&[1, 4])[..], &output.to_le_bytes()].concat();
    let [received, sent] = times.map(|time| time.to_le_bytes().to_vec());
    let (kind, output_type, length) = (u32s(&[1]), u32s(&[2]), u32s(&[12]));
    let message_id = message_id.to_vec();
    let connection = connection.to_vec();
    vec![
        vec![],
        connection,
        kind,
        message_id,
        output_type,
        length,
        block,
        received,
        sent,
    ]
}

/// Both sockets of a client that says nothing of its generation, and its id.
fn client(frontend: &Frontend, mark: &[u8]) -> (Peer, Peer, Vec<u8>) {
    let mut answers = Peer::connect(frontend.ports().send_port);
    answers.say(&[vec![], mark.to_vec()]);
    let [delimiter, id] = answers.hear().try_into().unwrap();
    assert_eq!((delimiter.len(), id.len()), (0, 4));
    (answers, Peer::connect(frontend.ports().recv_port), id)
}

fn request(client: &[u8], request_id: u32, floats: &[f32]) -> Vec<Vec<u8>> {
    vec![
        vec![],
        client.to_vec(),
        u32s(&[request_id]),
        b"app".to_vec(),
        u32s(&[2]),
        u32s(&[floats.len() as u32]),
        floats
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    ]
}

/// Microseconds since the Unix epoch.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_micros()).unwrap()
}

/// A high-performance answer's lineage, in order. Checks everything before it.
fn lineage(
    answer: &[Vec<u8>],
    request_id: u32,
    output_type: u32,
    output: &[u8],
) -> Vec<(String, u64)> {
    let length = u32s(&[output.len() as u32]);
    let head = [
        vec![],
        u32s(&[request_id]),
        u32s(&[output_type]),
        length,
        output.to_vec(),
    ];
    assert_eq!(answer[..5], head);
    let entries = answer[6..].chunks_exact(2);
    assert_eq!(number(&answer[5]) as usize, entries.len());
    let entry = |entry: &[Vec<u8>]| {
        let name = String::from_utf8(entry[0].clone()).unwrap();
        (name, u64::from_le_bytes(entry[1][..].try_into().unwrap()))
    };
    entries.map(entry).collect()
}

#[test]
fn a_container_and_a_client_of_2017_see_the_bytes_of_their_generation() {
    let frontend = start(2);
    let mut container = container_of_2017(&frontend, "2");
    let (mut answers, mut requests, id) = client(&frontend, b"");
    requests.say(&request(&id, 0, &[1.0, 2.0]));
    let first = container.hear();
    // While the first is computed, these wait, and go in one batch.
    requests.say(&request(&id, 1, &[3.0]));
    requests.say(&request(&id, 2, &[4.0, 5.0]));
    let message_id = first[2].clone();
    let floats = |floats: &[f32]| {
        floats
            .iter()
            .flat_map(|f| f.to_le_bytes())
            .collect::<Vec<_>>()
    };
    let expected = [
        vec![],
        u32s(&[1]),
        message_id.clone(),
        u32s(&[0]),
        size(8),
        u32s(&[2, 1]),
        size(8),
        floats(&[1.0, 2.0]),
    ];
    assert_eq!(first, expected);
    let ints = u32s(&[1, 8, 7, 8]);
    container.say(&[
        vec![],
        u32s(&[1]),
        message_id,
        u32s(&[1]),
        u32s(&[16]),
        ints,
    ]);
    let expected = [vec![], u32s(&[0]), u32s(&[1]), u32s(&[7, 8])];
    assert_eq!(answers.hear(), expected);

    let mut asked = Vec::new();
    while asked.len() < 2 {
        let batch = container.hear();
        let header = &batch[5];
        let count = number(&header[4..8]) as usize;
        assert_eq!(
            (&header[..4], header.len()),
            (&u32s(&[2])[..], 4 * (count + 1))
        );
        let outputs = (0..count).map(|index| b"ab".repeat(asked.len() + index + 1));
        let outputs: Vec<_> = outputs.collect();
        let lengths: Vec<_> = outputs.iter().map(|output| output.len() as u32).collect();
        let block = [u32s(&[count as u32]), u32s(&lengths), outputs.concat()].concat();
        let length = u32s(&[block.len() as u32]);
        container.say(&[
            vec![],
            u32s(&[1]),
            batch[2].clone(),
            u32s(&[4]),
            length,
            block,
        ]);
        for output in outputs {
            let answer = answers.hear();
            asked.push(number(&answer[1]));
            let expected = [
                vec![],
                u32s(asked.last_chunk::<1>().unwrap()),
                u32s(&[4]),
                output,
            ];
            assert_eq!(answer, expected);
        }
    }
    assert_eq!(asked, [1, 2]);
}

#[test]
fn a_high_performance_container_gets_one_frame_per_input_and_answers_by_the_other_port() {
    let frontend = start(2);
    let (mut batches, mut responses, connection) = high_perf_container(&frontend);
    let (mut answers, mut requests, id) = client(&frontend, b"");
    requests.say(&request(&id, 0, &[1.0, 2.0]));
    let batch = batches.hear();
    let message_id = batch[2].clone();
    let expected = [
        vec![],
        u32s(&[1]),
        message_id.clone(),
        u32s(&[0]),
        size(12),
        u32s(&[2, 1, 8]),
        [1_f32, 2.0].iter().flat_map(|f| f.to_le_bytes()).collect(),
    ];
    assert_eq!(batch, expected);
    responses.say(&returned(&connection, &message_id, 1.5, [10.0, 20.0]));
    let expected = [
        vec![],
        u32s(&[0]),
        u32s(&[2]),
        1.5_f32.to_le_bytes().to_vec(),
    ];
    assert_eq!(answers.hear(), expected);
}

#[test]
fn a_high_performance_client_gets_the_length_and_when_its_query_passed_where() {
    let frontend = start(1);
    let (mut batches, mut responses, connection) = high_perf_container(&frontend);
    let (mut answers, mut requests, id) = client(&frontend, b"CLIPH");
    let before = now();
    requests.say(&request(&id, 5, &[1.0]));
    let batch = batches.hear();
    responses.say(&returned(&connection, &batch[2], 1.5, [1e15, 2e15]));
    let lineage = lineage(&answers.hear(), 5, 2, &1.5_f32.to_le_bytes());
    let after = now();
    let names: Vec<_> = lineage.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "clipper::frontend_rpc_recv",
        "clipper::task_enqueued",
        "clipper::task_dequeued",
        "clipper::sent_rpc",
        "container::recv",
        "container::send",
        "clipper::rpc_recv",
        "clipper::task_executor_recv",
        "clipper::task_executor_recv_end",
        "clipper::task_executor_msg_callback_found",
        "clipper::zmq_frontend_response_callback",
        "clipper::frontend_rpc_response_send",
    ];
    assert_eq!(names, expected);
    let (containers, frontends): (Vec<_>, Vec<_>) = lineage
        .iter()
        .partition(|(name, _)| name.starts_with("container"));
    let times: Vec<_> = containers.into_iter().map(|(_, time)| *time).collect();
    assert_eq!(times, [1_000_000_000_000_000, 2_000_000_000_000_000]);
    let times: Vec<_> = frontends.into_iter().map(|(_, time)| *time).collect();
    assert!(times.is_sorted(), "{times:?}");
    // The wall clock may have been corrected by a little since the frontend started.
    let around = before - 1_000_000..after + 1_000_000;
    assert!(times.iter().all(|time| around.contains(time)), "{times:?}");
}

#[test]
fn a_flag_makes_clients_that_do_not_say_it_high_performance_ones() {
    let mut settings = Settings::parse_from(["frontend", "--client_protocol=highperf"]);
    assert_eq!(settings.client_protocol, ClientProtocol::HighPerf);
    settings.ports = testkit::settings().ports;
    let frontend = Frontend::start(&settings).unwrap();
    deploy(&frontend, 1, HOUR);
    let (mut answers, mut requests, id) = client(&frontend, b"");
    requests.say(&request(&id, 6, &[1.0]));
    // The default output, for want of a replica: so there was no batch.
    let lineage = lineage(&answers.hear(), 6, 4, b"none");
    let names: Vec<_> = lineage.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "clipper::frontend_rpc_recv",
        "clipper::task_enqueued",
        "clipper::zmq_frontend_response_callback",
        "clipper::frontend_rpc_response_send",
    ];
    assert_eq!(names, expected);
}

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
