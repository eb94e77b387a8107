//! Clipper's older generations, container and client, as exact frames through a real frontend over real sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

mod frames;
mod trouble;

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use frontend::{ClientProtocol, Frontend, Settings};
use testkit::deploy;

use frames::{
    HOUR, client, container_of_2017, high_perf_container, number, request, returned, size, start,
    u32s,
};

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
