//! Many ZeroMQ clients at once, and clients that disconnect.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::Frontend;
use testkit::{Peer, deploy, replica, reply_doubled, settings};
use wire::query::{Answer, AnswerStatus, Connected};

const HOUR: Duration = Duration::from_secs(3600);

fn start(batch_size: i32) -> Frontend {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy(&frontend, batch_size, HOUR);
    frontend
}

fn number(frame: &[u8]) -> u32 {
    u32::from_le_bytes(frame.try_into().unwrap())
}

/// A client of one of the three dialects.
struct Client {
    answers: Peer,
    requests: Peer,
    /// Frame of the connect message that selects the dialect.
    mark: &'static [u8],
    id: Vec<u8>,
}

impl Client {
    fn connect(context: &zmq::Context, frontend: &Frontend, mark: &'static [u8]) -> Client {
        let mut answers = Peer::connect_in(context, frontend.ports().send_port);
        answers.send(&[vec![], mark.to_vec()]);
        let id = answers.recv().remove(1);
        let requests = Peer::connect_in(context, frontend.ports().recv_port);
        Client {
            answers,
            requests,
            mark,
            id,
        }
    }

    fn send_query(&mut self, request_id: u32, value: f32) {
        if let Ok(connected) = Connected::decode(&[vec![], self.id.clone()]) {
            return self.requests.send_query(connected, request_id, &[value]);
        }
        let [request_id, code, count] = [request_id, 2, 1].map(|n: u32| n.to_le_bytes().to_vec());
        let (id, app) = (self.id.clone(), b"app".to_vec());
        let input = value.to_le_bytes().to_vec();
        let request = [vec![], id, request_id, app, code, count, input];
        self.requests.send(&request);
    }

    /// Receives the next answer; returns the request id and the output.
    fn recv_answer(&mut self) -> (u32, f32) {
        let frames = self.answers.recv();
        let (request_id, output) = match self.mark {
            b"CLIP4" => {
                let answer = Answer::decode(&frames).unwrap();
                assert_eq!(answer.status, AnswerStatus::Ok);
                (answer.request_id, answer.output)
            }
            b"CLIPH" => (number(&frames[1]), &frames[4][..]),
            _ => (number(&frames[1]), &frames[3][..]),
        };
        (request_id, f32::from_le_bytes(output.try_into().unwrap()))
    }
}

#[test]
fn two_hundred_clients_get_their_own_answers_in_their_dialects() {
    let frontend = start(64);
    let (mut replica, _) = replica(&frontend);
    let context = zmq::Context::new();
    let marks: [&'static [u8]; 3] = [b"", b"CLIPH", b"CLIP4"];
    let marks = marks.into_iter().cycle().take(200);
    let clients = marks.map(|mark| Client::connect(&context, &frontend, mark));
    let mut clients: Vec<_> = clients.collect();
    let value = |client: usize, request: u32| (10 * client) as f32 + request as f32;
    for request in 0..10 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send_query(request, value(number, request));
        }
    }
    let mut left = 10 * clients.len();
    while left > 0 {
        let batch = replica.recv_request();
        left -= reply_doubled(&mut replica, &batch);
    }
    for (number, client) in clients.iter_mut().enumerate() {
        let mut received: Vec<_> = (0..10).map(|_| client.recv_answer()).collect();
        received.sort_unstable_by_key(|(request, _)| *request);
        let expected = (0..10).map(|request| (request, 2.0 * value(number, request)));
        assert_eq!(received, expected.collect::<Vec<_>>());
    }
}

#[test]
fn queries_of_a_disconnected_client_are_not_computed() {
    const WAITING: u32 = 5_000;
    let frontend = start(1);
    let (mut replica, _) = replica(&frontend);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    (0..WAITING).for_each(|id| requests.send_query(connected, id, &[1.0]));
    // Requests keep their order, so this refusal proves that those before it were accepted.
    requests.send_query_to("other", connected, WAITING, &[1.0]);
    let refused = answers.recv();
    assert_eq!(
        Answer::decode(&refused).unwrap().status,
        AnswerStatus::Refused
    );
    drop((answers, requests));

    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.send_query(connected, 7, &[2.0]);
    let mut computed = 0;
    loop {
        let request = replica.recv_request();
        reply_doubled(&mut replica, &request);
        if *request.last().unwrap() == 2_f32.to_le_bytes() {
            break;
        }
        computed += 1;
    }
    assert!(computed < WAITING / 2, "{computed} of {WAITING}");
    let frames = answers.recv();
    assert_eq!(Answer::decode(&frames).unwrap().output, 4_f32.to_le_bytes());
}
