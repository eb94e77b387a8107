//! Memory of the frontend's process.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, thread, time::Duration};

use testkit::{FrontendProcess, HasPorts, Peer, deploy, replica, reply_doubled, wait_until};
use wire::query::{Answer, AnswerStatus, Connected};

const HOUR: Duration = Duration::from_secs(3600);
const KIB: usize = 1024;

fn start(objective: Duration) -> FrontendProcess {
    let program = FrontendProcess::start(env!("CARGO_BIN_EXE_frontend"), &[]);
    deploy(&program, 32, objective);
    program
}

/// Returns the resident memory of a process, in bytes.
fn memory(program: &FrontendProcess) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<usize>().unwrap() * KIB
}

struct Client {
    answers: Peer,
    requests: Peer,
    connected: Connected,
}

impl Client {
    fn connect(program: &FrontendProcess) -> Client {
        let mut answers = Peer::connect(program.ports().send_port);
        let connected = answers.connect_native();
        Client {
            answers,
            requests: Peer::connect(program.ports().recv_port),
            connected,
        }
    }

    fn send_queries(&mut self, count: u32) {
        (0..count).for_each(|id| self.requests.send_query(self.connected, id, &[1.0]));
    }

    fn recv_answers(&mut self, count: u32) {
        for _ in 0..count {
            let frames = self.answers.recv();
            assert_eq!(Answer::decode(&frames).unwrap().status, AnswerStatus::Ok);
        }
    }
}

#[test]
fn a_waiting_query_takes_two_kib_beyond_its_input() {
    const WAITING: u32 = 90_000;
    let program = start(HOUR);
    let (_silent, _) = replica(&program);
    let mut client = Client::connect(&program);
    let before = memory(&program);
    client.send_queries(WAITING);
    // Requests keep their order, so this refusal proves that all queries are in the queue.
    client
        .requests
        .send_query_to("other", client.connected, 0, &[]);
    let refused = client.answers.recv();
    assert_eq!(
        Answer::decode(&refused).unwrap().status,
        AnswerStatus::Refused
    );
    let per_query = memory(&program).saturating_sub(before) / WAITING as usize;
    assert!(per_query <= 2 * KIB + 4, "{per_query} bytes per query");
}

#[test]
fn a_million_queries_do_not_grow_memory() {
    const WINDOW: u32 = 1_000;
    let program = start(HOUR);
    let (mut replica, _) = replica(&program);
    thread::spawn(move || {
        loop {
            let request = replica.recv_request();
            reply_doubled(&mut replica, &request);
        }
    });
    let mut client = Client::connect(&program);
    let mut serve = |windows: u32| {
        for _ in 0..windows {
            client.send_queries(WINDOW);
            client.recv_answers(WINDOW);
        }
        memory(&program)
    };
    let warm = serve(50);
    let after = serve(1_000);
    let growth = after.saturating_sub(warm);
    assert!(
        growth < 4 * KIB * KIB,
        "memory grew by {growth} bytes from {warm}"
    );
}

#[test]
fn memory_of_a_long_queue_is_returned_to_the_kernel() {
    const ROUND: u32 = 10_000;
    let program = start(Duration::from_millis(300));
    let (_silent, _) = replica(&program);
    let mut client = Client::connect(&program);
    let before = memory(&program);
    let mut peak = 0;
    for _ in 0..3 {
        // Large inputs stay in their frames and small ones are copied, so allocations interleave.
        for id in 0..ROUND {
            let length = if id % 4 == 0 { 2_048 } else { 10 };
            client
                .requests
                .send_query(client.connected, id, &vec![1.0; length]);
        }
        for _ in 0..ROUND {
            let frames = client.answers.recv();
            assert_eq!(
                Answer::decode(&frames).unwrap().status,
                AnswerStatus::Default
            );
            peak = peak.max(memory(&program));
        }
    }
    wait_until("memory is returned to the kernel", || {
        (memory(&program) < before + 6 * KIB * KIB).then_some(())
    });
    assert!(
        peak > before + 12 * KIB * KIB,
        "memory rose from {before} to {peak} bytes only: the queue was short"
    );
}
