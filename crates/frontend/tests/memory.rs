//! What the frontend's process holds on to.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, thread, time::Duration};

use testkit::{Peer, Program, Serves, deploy, double, replica, until};
use wire::query::{Answer, AnswerStatus, Connected};

const HOUR: Duration = Duration::from_secs(3600);
const KIB: usize = 1024;

fn start(objective: Duration) -> Program {
    let program = Program::start(env!("CARGO_BIN_EXE_frontend"), &[]);
    deploy(&program, 32, objective);
    program
}

/// Of a process, resident, in bytes.
fn memory(program: &Program) -> usize {
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
    fn connect(program: &Program) -> Client {
        let mut answers = Peer::connect(program.ports().send_port);
        let connected = answers.connect_native();
        Client {
            answers,
            requests: Peer::connect(program.ports().recv_port),
            connected,
        }
    }

    fn ask(&mut self, count: u32) {
        (0..count).for_each(|id| self.requests.ask(self.connected, id, &[1.0]));
    }

    fn hear(&mut self, count: u32) {
        for _ in 0..count {
            let frames = self.answers.hear();
            assert_eq!(Answer::decode(&frames).unwrap().status, AnswerStatus::Ok);
        }
    }
}

#[test]
fn a_waiting_query_takes_at_most_2_kib_beyond_its_input() {
    const WAITING: u32 = 90_000;
    let program = start(HOUR);
    let (_silent, _) = replica(&program);
    let mut client = Client::connect(&program);
    let before = memory(&program);
    client.ask(WAITING);
    // Refused after all before it have been taken.
    client.requests.ask_app("other", client.connected, 0, &[]);
    let refused = client.answers.hear();
    assert_eq!(
        Answer::decode(&refused).unwrap().status,
        AnswerStatus::Refused
    );
    let each = memory(&program).saturating_sub(before) / WAITING as usize;
    assert!(each <= 2 * KIB + 4, "{each} bytes");
}

#[test]
fn a_million_queries_leave_nothing_behind() {
    const WINDOW: u32 = 1_000;
    let program = start(HOUR);
    let (mut replica, _) = replica(&program);
    thread::spawn(move || {
        loop {
            let request = replica.hear_request();
            double(&mut replica, &request);
        }
    });
    let mut client = Client::connect(&program);
    let mut serve = |windows: u32| {
        for _ in 0..windows {
            client.ask(WINDOW);
            client.hear(WINDOW);
        }
        memory(&program)
    };
    let warm = serve(50);
    let after = serve(1_000);
    let grown = after.saturating_sub(warm);
    assert!(grown < 4 * KIB * KIB, "grown by {grown} bytes from {warm}");
}

#[test]
fn what_a_long_queue_took_is_given_back_when_it_is_gone() {
    const ROUND: u32 = 10_000;
    let program = start(Duration::from_millis(300));
    let (_silent, _) = replica(&program);
    let mut client = Client::connect(&program);
    let before = memory(&program);
    let mut most = 0;
    for _ in 0..3 {
        // Large ones are kept as they came, small ones are copied, and they lie between each other.
        for id in 0..ROUND {
            let length = if id % 4 == 0 { 2_048 } else { 10 };
            client
                .requests
                .ask(client.connected, id, &vec![1.0; length]);
        }
        for _ in 0..ROUND {
            let frames = client.answers.hear();
            assert_eq!(
                Answer::decode(&frames).unwrap().status,
                AnswerStatus::Default
            );
            most = most.max(memory(&program));
        }
    }
    until("memory is given back", || {
        (memory(&program) < before + 6 * KIB * KIB).then_some(())
    });
    assert!(
        most > before + 12 * KIB * KIB,
        "{most} after {before}: no long queue"
    );
}
