//! The prediction cache over real sockets: cached answers, and equal queries that share one.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::Frontend;
use model::{DataType, InputError, Output};
use testkit::{HttpClient, Peer, admin, deploy, get, inputs, reply_doubled, settings_with};
use wire::query::{Answer, AnswerStatus};

const HOUR: Duration = Duration::from_secs(3600);

fn start(objective: Duration) -> Frontend {
    let settings = settings_with(&["--prediction_cache_size=1000000"]);
    let frontend = Frontend::start(&settings).unwrap();
    deploy(&frontend, 1, objective);
    frontend
}

fn client(frontend: &Frontend) -> HttpClient {
    HttpClient::connect(frontend.ports().query_port)
}

fn replica(frontend: &Frontend) -> Peer {
    let port = frontend.ports().rpc_service_port;
    Peer::join(port, "1", DataType::Floats)
}

fn send_predict(client: &mut HttpClient, input: f32) {
    let body = format!(r#"{{"input":[{input:?}]}}"#);
    client.send_request("POST /app/predict", &[], body.as_bytes());
}

/// Waits until this number of queries wait, for a replica or for the answer to an equal query.
fn await_waiting(frontend: &Frontend, queries: usize) {
    let line = format!(r#"clipper_queue_queries{{model="m",version="1"}} {queries}"#);
    while !get(frontend, "/metrics/prometheus").contains(&line) {}
}

#[test]
fn a_repeated_input_is_answered_from_the_cache() {
    let frontend = start(HOUR);
    let mut replica = replica(&frontend);
    let mut client = client(&frontend);
    send_predict(&mut client, 1.0);
    replica.serve(&Output::Floats(vec![1.0]));
    assert!(client.recv().text().contains(r#""output":[1.0]"#));
    send_predict(&mut client, 2.0);
    let request = replica.recv_request();
    let failed = vec![Err(InputError("no picture".into()))];
    replica.reply(&request, DataType::Floats, failed);
    assert!(client.recv().text().contains("no picture"));

    send_predict(&mut client, 1.0);
    let expected = r#"{"query_id":2,"output":[1.0],"default":false}"#;
    assert_eq!(client.recv().text(), expected);
    // Failures are not cached.
    send_predict(&mut client, 2.0);
    replica.serve(&Output::Text("2".into()));
    assert!(client.recv().text().contains(r#""output":2,"#));
    let metrics = get(&frontend, "/metrics/prometheus");
    for (name, count) in [("lookups", 4), ("hits", 1)] {
        let line = format!(r#"clipper_cache_{name}_total{{model="m",version="1"}} {count}"#);
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }

    // The cache distinguishes model versions.
    let second = r#"{"model_name":"m","model_version":"2","labels":[],"input_type":"floats","container_name":"","model_data_path":"","batch_size":1}"#;
    assert_eq!(admin(&frontend, "add_model", second).0, 200);
    let mut second = Peer::join(frontend.ports().rpc_service_port, "2", DataType::Floats);
    send_predict(&mut client, 1.0);
    second.serve(&Output::Text("new".into()));
    assert!(client.recv().text().contains(r#""output":"new""#));
    let old = client.post("/app/predict", r#"{"input":[1.0],"version":"1"}"#);
    assert!(old.text().contains(r#""output":[1.0]"#), "{}", old.text());
}

#[test]
fn an_answer_after_the_deadline_is_cached() {
    let frontend = start(Duration::from_millis(30));
    let mut replica = replica(&frontend);
    let mut client = client(&frontend);
    send_predict(&mut client, 1.0);
    let late = replica.recv_request();
    let reason = client.recv();
    let reason = reason.header("clipper-default-reason");
    assert_eq!(reason, Some("timed out at the replica"));
    reply_doubled(&mut replica, &late);
    send_predict(&mut client, 1.0);
    let expected = r#"{"query_id":1,"output":[2.0],"default":false}"#;
    assert_eq!(client.recv().text(), expected);
    // The repeated input did not reach the replica.
    send_predict(&mut client, 3.0);
    assert_eq!(inputs(&replica.recv_request()), [3_f32.to_le_bytes()]);
}

#[test]
fn equal_queries_in_flight_are_computed_once_across_interfaces() {
    let frontend = start(HOUR);
    let mut replica = replica(&frontend);
    let mut clients = [client(&frontend), client(&frontend)];
    clients
        .iter_mut()
        .for_each(|client| send_predict(client, 1.0));
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.send_query(connected, 9, &[1.0]);
    let request = replica.recv_request();
    await_waiting(&frontend, 2);
    assert_eq!(reply_doubled(&mut replica, &request), 1);
    for client in &mut clients {
        let answer = client.recv();
        assert!(answer.text().contains(r#""output":[2.0]"#));
    }
    let frames = answers.recv();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!((answer.request_id, answer.status), (9, AnswerStatus::Ok));
    assert_eq!(answer.output, 2_f32.to_le_bytes());
    send_predict(&mut clients[0], 3.0);
    assert_eq!(inputs(&replica.recv_request()), [3_f32.to_le_bytes()]);
}

#[test]
fn an_equal_query_survives_the_first_clients_disconnect() {
    let frontend = start(HOUR);
    let mut replica = replica(&frontend);
    let mut others = [client(&frontend), client(&frontend)];
    // One query is being computed; one batch is sent ahead.
    let mut requests = Vec::new();
    for (client, input) in others.iter_mut().zip([5.0, 6.0]) {
        send_predict(client, input);
        requests.push(replica.recv_request());
    }
    let mut first = client(&frontend);
    send_predict(&mut first, 1.0);
    await_waiting(&frontend, 1);
    let mut second = client(&frontend);
    send_predict(&mut second, 1.0);
    await_waiting(&frontend, 2);
    drop(first);
    await_waiting(&frontend, 1);
    for request in &requests {
        reply_doubled(&mut replica, request);
    }
    assert_eq!(
        replica.serve(&Output::Floats(vec![7.0])),
        [1_f32.to_le_bytes()]
    );
    assert!(second.recv().text().contains(r#""output":[7.0]"#));
}

#[test]
fn equal_queries_survive_the_death_of_their_replica() {
    let frontend = start(HOUR);
    let mut dying = replica(&frontend);
    let mut clients = [client(&frontend), client(&frontend)];
    clients
        .iter_mut()
        .for_each(|client| send_predict(client, 1.0));
    dying.recv_request();
    await_waiting(&frontend, 1);
    let mut other = replica(&frontend);
    drop(dying);
    let request = other.recv_request();
    reply_doubled(&mut other, &request);
    for client in &mut clients {
        assert!(client.recv().text().contains(r#""output":[2.0]"#));
    }
}

#[test]
fn without_a_cache_every_query_is_computed() {
    let frontend = Frontend::start(&settings_with(&[])).unwrap();
    deploy(&frontend, 2, HOUR);
    let mut replica = replica(&frontend);
    let mut clients = [client(&frontend), client(&frontend)];
    clients
        .iter_mut()
        .for_each(|client| send_predict(client, 1.0));
    let mut computed = 0;
    while computed < 2 {
        let request = replica.recv_request();
        computed += reply_doubled(&mut replica, &request);
    }
    for client in &mut clients {
        assert_eq!(client.recv().status, 200);
    }
}
