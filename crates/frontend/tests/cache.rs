//! The prediction cache, over real sockets: answers that are kept, and queries that share one.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::Frontend;
use model::{DataType, InputError, Output};
use testkit::{Http, Peer, admin, deploy, double, get, inputs, settings_with};
use wire::query::{Answer, AnswerStatus};

const HOUR: Duration = Duration::from_secs(3600);

fn start(objective: Duration) -> Frontend {
    let settings = settings_with(&["--prediction_cache_size=1000000"]);
    let frontend = Frontend::start(&settings).unwrap();
    deploy(&frontend, 1, objective);
    frontend
}

fn client(frontend: &Frontend) -> Http {
    Http::connect(frontend.ports().query_port)
}

fn replica(frontend: &Frontend) -> Peer {
    let port = frontend.ports().rpc_service_port;
    Peer::join(port, "1", DataType::Floats)
}

fn ask(client: &mut Http, input: f32) {
    let body = format!(r#"{{"input":[{input:?}]}}"#);
    client.ask("POST /app/predict", &[], body.as_bytes());
}

/// Waits until so many queries wait for a replica or for an answer.
fn await_waiting(frontend: &Frontend, queries: usize) {
    let line = format!(r#"clipper_queue_queries{{model="m",version="1"}} {queries}"#);
    while !get(frontend, "/metrics/prometheus").contains(&line) {}
}

#[test]
fn an_input_that_comes_again_is_answered_from_the_cache() {
    let frontend = start(HOUR);
    let mut replica = replica(&frontend);
    let mut client = client(&frontend);
    ask(&mut client, 1.0);
    replica.serve(&Output::Floats(vec![1.0]));
    assert!(client.hear().text().contains(r#""output":[1.0]"#));
    ask(&mut client, 2.0);
    let request = replica.hear_request();
    let failed = vec![Err(InputError("no picture".into()))];
    replica.reply(&request, DataType::Floats, failed);
    assert!(client.hear().text().contains("no picture"));

    ask(&mut client, 1.0);
    let expected = r#"{"query_id":2,"output":[1.0],"default":false}"#;
    assert_eq!(client.hear().text(), expected);
    // The failure is not kept.
    ask(&mut client, 2.0);
    replica.serve(&Output::Text("2".into()));
    assert!(client.hear().text().contains(r#""output":2,"#));
    let metrics = get(&frontend, "/metrics/prometheus");
    for (name, count) in [("lookups", 4), ("hits", 1)] {
        let line = format!(r#"clipper_cache_{name}_total{{model="m",version="1"}} {count}"#);
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }

    // Another version is another model.
    let second = r#"{"model_name":"m","model_version":"2","labels":[],"input_type":"floats","container_name":"","model_data_path":"","batch_size":1}"#;
    assert_eq!(admin(&frontend, "add_model", second).0, 200);
    let mut second = Peer::join(frontend.ports().rpc_service_port, "2", DataType::Floats);
    ask(&mut client, 1.0);
    second.serve(&Output::Text("new".into()));
    assert!(client.hear().text().contains(r#""output":"new""#));
    let old = client.post("/app/predict", r#"{"input":[1.0],"version":"1"}"#);
    assert!(old.text().contains(r#""output":[1.0]"#), "{}", old.text());
}

#[test]
fn an_answer_that_comes_too_late_for_who_asked_is_kept_for_the_next() {
    let frontend = start(Duration::from_millis(30));
    let mut replica = replica(&frontend);
    let mut client = client(&frontend);
    ask(&mut client, 1.0);
    let late = replica.hear_request();
    let reason = client.hear();
    let reason = reason.header("clipper-default-reason");
    assert_eq!(reason, Some("timed out at the replica"));
    double(&mut replica, &late);
    ask(&mut client, 1.0);
    let expected = r#"{"query_id":1,"output":[2.0],"default":false}"#;
    assert_eq!(client.hear().text(), expected);
    // The replica has not been asked for it again.
    ask(&mut client, 3.0);
    assert_eq!(inputs(&replica.hear_request()), [3_f32.to_le_bytes()]);
}

#[test]
fn equal_queries_in_flight_are_computed_once_whoever_asks() {
    let frontend = start(HOUR);
    let mut replica = replica(&frontend);
    let mut clients = [client(&frontend), client(&frontend)];
    clients.iter_mut().for_each(|client| ask(client, 1.0));
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.ask(connected, 9, &[1.0]);
    let request = replica.hear_request();
    await_waiting(&frontend, 2);
    assert_eq!(double(&mut replica, &request), 1);
    for client in &mut clients {
        let answer = client.hear();
        assert!(answer.text().contains(r#""output":[2.0]"#));
    }
    let frames = answers.hear();
    let answer = Answer::decode(&frames).unwrap();
    assert_eq!((answer.request_id, answer.status), (9, AnswerStatus::Ok));
    assert_eq!(answer.output, 2_f32.to_le_bytes());
    ask(&mut clients[0], 3.0);
    assert_eq!(inputs(&replica.hear_request()), [3_f32.to_le_bytes()]);
}

#[test]
fn an_equal_query_is_computed_when_the_client_of_the_first_has_gone() {
    let frontend = start(HOUR);
    let mut replica = replica(&frontend);
    let mut others = [client(&frontend), client(&frontend)];
    // One is computed, one lies ready.
    let mut requests = Vec::new();
    for (client, input) in others.iter_mut().zip([5.0, 6.0]) {
        ask(client, input);
        requests.push(replica.hear_request());
    }
    let mut first = client(&frontend);
    ask(&mut first, 1.0);
    await_waiting(&frontend, 1);
    let mut second = client(&frontend);
    ask(&mut second, 1.0);
    await_waiting(&frontend, 2);
    drop(first);
    await_waiting(&frontend, 1);
    for request in &requests {
        double(&mut replica, request);
    }
    assert_eq!(
        replica.serve(&Output::Floats(vec![7.0])),
        [1_f32.to_le_bytes()]
    );
    assert!(second.hear().text().contains(r#""output":[7.0]"#));
}

#[test]
fn equal_queries_survive_the_death_of_the_replica_that_computes_their_answer() {
    let frontend = start(HOUR);
    let mut dying = replica(&frontend);
    let mut clients = [client(&frontend), client(&frontend)];
    clients.iter_mut().for_each(|client| ask(client, 1.0));
    dying.hear_request();
    await_waiting(&frontend, 1);
    let mut other = replica(&frontend);
    drop(dying);
    let request = other.hear_request();
    double(&mut other, &request);
    for client in &mut clients {
        assert!(client.hear().text().contains(r#""output":[2.0]"#));
    }
}

#[test]
fn without_a_cache_every_query_is_computed() {
    let frontend = Frontend::start(&settings_with(&[])).unwrap();
    deploy(&frontend, 2, HOUR);
    let mut replica = replica(&frontend);
    let mut clients = [client(&frontend), client(&frontend)];
    clients.iter_mut().for_each(|client| ask(client, 1.0));
    let mut computed = 0;
    while computed < 2 {
        let request = replica.hear_request();
        computed += double(&mut replica, &request);
    }
    for client in &mut clients {
        assert_eq!(client.hear().status, 200);
    }
}
