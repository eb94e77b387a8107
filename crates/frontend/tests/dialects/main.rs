//! Containers and clients of Clipper's older generations, as exact frames through a real frontend.
#![allow(clippy::unwrap_used, reason = "tests")]

mod faults;
mod frames;

use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use frontend::{ClientProtocol, Frontend, Settings};
use testkit::deploy;

use frames::{
    HOUR, client, container_of_2017, high_perf_container, read_u32, request, response, start, u32s,
    u64_frame,
};

/// Returns the microseconds since the Unix epoch.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_micros()).unwrap()
}

/// Returns the lineage of a high-performance answer, in order. Checks the fields before it.
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
    assert_eq!(read_u32(&answer[5]) as usize, entries.len());
    let entry = |entry: &[Vec<u8>]| {
        let name = String::from_utf8(entry[0].clone()).unwrap();
        (name, u64::from_le_bytes(entry[1][..].try_into().unwrap()))
    };
    entries.map(entry).collect()
}

#[test]
fn peers_of_2017_get_the_bytes_of_their_generation() {
    let frontend = start(2);
    let mut container = container_of_2017(&frontend, "2");
    let (mut answers, mut requests, id) = client(&frontend, b"");
    requests.send(&request(&id, 0, &[1.0, 2.0]));
    let first = container.recv();
    // These wait during the first batch.
    requests.send(&request(&id, 1, &[3.0]));
    requests.send(&request(&id, 2, &[4.0, 5.0]));
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
        u64_frame(8),
        u32s(&[2, 1]),
        u64_frame(8),
        floats(&[1.0, 2.0]),
    ];
    assert_eq!(first, expected);
    let ints = u32s(&[1, 8, 7, 8]);
    container.send(&[
        vec![],
        u32s(&[1]),
        message_id,
        u32s(&[1]),
        u32s(&[16]),
        ints,
    ]);
    let expected = [vec![], u32s(&[0]), u32s(&[1]), u32s(&[7, 8])];
    assert_eq!(answers.recv(), expected);

    let mut answered = Vec::new();
    while answered.len() < 2 {
        let batch = container.recv();
        let header = &batch[5];
        let count = read_u32(&header[4..8]) as usize;
        assert_eq!(
            (&header[..4], header.len()),
            (&u32s(&[2])[..], 4 * (count + 1))
        );
        let outputs = (0..count).map(|index| b"ab".repeat(answered.len() + index + 1));
        let outputs: Vec<_> = outputs.collect();
        let lengths: Vec<_> = outputs.iter().map(|output| output.len() as u32).collect();
        let block = [u32s(&[count as u32]), u32s(&lengths), outputs.concat()].concat();
        let length = u32s(&[block.len() as u32]);
        container.send(&[
            vec![],
            u32s(&[1]),
            batch[2].clone(),
            u32s(&[4]),
            length,
            block,
        ]);
        for output in outputs {
            let answer = answers.recv();
            answered.push(read_u32(&answer[1]));
            let expected = [
                vec![],
                u32s(answered.last_chunk::<1>().unwrap()),
                u32s(&[4]),
                output,
            ];
            assert_eq!(answer, expected);
        }
    }
    assert_eq!(answered, [1, 2]);
}

#[test]
fn high_performance_containers_get_one_frame_per_input() {
    let frontend = start(2);
    let (mut batches, mut responses, connection) = high_perf_container(&frontend);
    let (mut answers, mut requests, id) = client(&frontend, b"");
    requests.send(&request(&id, 0, &[1.0, 2.0]));
    let batch = batches.recv();
    let message_id = batch[2].clone();
    let expected = [
        vec![],
        u32s(&[1]),
        message_id.clone(),
        u32s(&[0]),
        u64_frame(12),
        u32s(&[2, 1, 8]),
        [1_f32, 2.0].iter().flat_map(|f| f.to_le_bytes()).collect(),
    ];
    assert_eq!(batch, expected);
    responses.send(&response(&connection, &message_id, 1.5, [10.0, 20.0]));
    let expected = [
        vec![],
        u32s(&[0]),
        u32s(&[2]),
        1.5_f32.to_le_bytes().to_vec(),
    ];
    assert_eq!(answers.recv(), expected);
}

#[test]
fn high_performance_clients_get_the_lineage() {
    let frontend = start(1);
    let (mut batches, mut responses, connection) = high_perf_container(&frontend);
    let (mut answers, mut requests, id) = client(&frontend, b"CLIPH");
    let before = now();
    requests.send(&request(&id, 5, &[1.0]));
    let batch = batches.recv();
    responses.send(&response(&connection, &batch[2], 1.5, [1e15, 2e15]));
    let lineage = lineage(&answers.recv(), 5, 2, &1.5_f32.to_le_bytes());
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
    let (container_times, frontend_times): (Vec<_>, Vec<_>) = lineage
        .iter()
        .partition(|(name, _)| name.starts_with("container"));
    let times: Vec<_> = container_times.into_iter().map(|(_, time)| *time).collect();
    assert_eq!(times, [1_000_000_000_000_000, 2_000_000_000_000_000]);
    let times: Vec<_> = frontend_times.into_iter().map(|(_, time)| *time).collect();
    assert!(times.is_sorted(), "{times:?}");
    // The wall clock may have been adjusted slightly since the frontend started.
    let plausible = before - 1_000_000..after + 1_000_000;
    assert!(
        times.iter().all(|time| plausible.contains(time)),
        "{times:?}"
    );
}

#[test]
fn a_flag_sets_the_dialect_of_unmarked_clients() {
    let mut settings = Settings::parse_from(["frontend", "--client_protocol=highperf"]);
    assert_eq!(settings.client_protocol, ClientProtocol::HighPerf);
    settings.ports = testkit::settings().ports;
    let frontend = Frontend::start(&settings).unwrap();
    deploy(&frontend, 1, HOUR);
    let (mut answers, mut requests, id) = client(&frontend, b"");
    requests.send(&request(&id, 6, &[1.0]));
    // Without a replica the answer is the default output, and there is no batch.
    let lineage = lineage(&answers.recv(), 6, 4, b"none");
    let names: Vec<_> = lineage.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "clipper::frontend_rpc_recv",
        "clipper::task_enqueued",
        "clipper::zmq_frontend_response_callback",
        "clipper::frontend_rpc_response_send",
    ];
    assert_eq!(names, expected);
}
