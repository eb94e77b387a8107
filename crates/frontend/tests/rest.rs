//! Clipper's query API over real HTTP, with model servers that send exact frames.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::Frontend;
use model::{DataType, InputError, Output};
use testkit::{
    HttpClient, HttpResponse, Peer, admin, deploy, deploy_for, get, settings, settings_with,
};

const HOUR: Duration = Duration::from_secs(3600);

const SCHEMA: &str = r#"Expected JSON schema: \n  {\n   \"input\" := [double] | [int] | [string] | [byte] | [float],\n  }\n"#;

fn start(input_type: &str, batch_size: i32) -> Frontend {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy_for(&frontend, input_type, batch_size, HOUR);
    frontend
}

fn start_with_flags(flags: &[&str]) -> Frontend {
    Frontend::start(&settings_with(flags)).unwrap()
}

fn client(frontend: &Frontend) -> HttpClient {
    HttpClient::connect(frontend.ports().query_port)
}

fn replica(frontend: &Frontend, input_type: DataType) -> Peer {
    Peer::join(frontend.ports().rpc_service_port, "1", input_type)
}

/// Checks that the response is JSON with status 200; returns its body.
fn ok(response: &HttpResponse) -> &str {
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    response.text()
}

#[test]
fn queries_of_every_type_reach_the_model() {
    let floats = [1.5_f32, 2.0].map(f32::to_le_bytes).concat();
    let doubles = [1.5_f64].map(f64::to_le_bytes).concat();
    let ints = [-1_i32, 7].map(i32::to_le_bytes).concat();
    for (input_type, body, input) in [
        ("floats", r#"{"input":[1.5,2e0]}"#, floats),
        ("doubles", r#"{"input":[1.5]}"#, doubles),
        ("integers", r#"{"input":[-1,7]}"#, ints),
        ("strings", r#"{"input":"a\u00e4"}"#, "a\u{e4}".into()),
        ("bytes", r#"{"input":"AP8="}"#, vec![0, 255]),
    ] {
        let frontend = start(input_type, 1);
        let mut replica = replica(&frontend, input_type.parse().unwrap());
        let mut client = client(&frontend);
        client.send_request("POST /app/predict", &[], body.as_bytes());
        assert_eq!(replica.serve(&Output::Text("1.0".into())), [input]);
        let expected = r#"{"query_id":0,"output":1.0,"default":false}"#;
        assert_eq!(ok(&client.recv()), expected);
    }
}

#[test]
fn outputs_are_json_where_possible_and_query_ids_count_up() {
    let frontend = start("floats", 1);
    let mut replica = replica(&frontend, DataType::Floats);
    let mut client = client(&frontend);
    for (id, (output, json)) in [
        (Output::Text("cat".into()), r#""cat""#),
        (
            Output::Text(r#"{"b": [1, 2.50]}"#.into()),
            r#"{"b":[1,2.5]}"#,
        ),
        (Output::Floats(vec![1.0, -0.5]), "[1.0,-0.5]"),
        (Output::Ints(vec![7]), "[7]"),
        (Output::Doubles(vec![0.1]), "[0.1]"),
        (Output::Bytes(vec![0, 255]), "[0,255]"),
        (Output::Floats(vec![f32::NAN]), r#""[NaN]""#),
    ]
    .into_iter()
    .enumerate()
    {
        // A path with a final slash is accepted, too.
        client.send_request("POST /app/predict/", &[], br#"{"input":[1.0]}"#);
        replica.serve(&output);
        let expected = format!(r#"{{"query_id":{id},"output":{json},"default":false}}"#);
        assert_eq!(ok(&client.recv()), expected);
    }
}

#[test]
fn batches_keep_their_order_and_one_input_answers_singly() {
    let frontend = start("integers", 8);
    let mut replica = replica(&frontend, DataType::Ints);
    let mut client = client(&frontend);
    assert_eq!(
        ok(&client.post("/app/predict", r#"{"input_batch":[]}"#)),
        r#"{"batch_predictions":[]}"#
    );
    client.send_request("POST /app/predict", &[], br#"{"input_batch":[[5],[6]]}"#);
    let mut inputs = replica.serve(&Output::Text("a".into()));
    while inputs.len() < 2 {
        inputs.extend(replica.serve(&Output::Text("a".into())));
    }
    assert_eq!(inputs, [5_i32, 6].map(i32::to_le_bytes));
    assert_eq!(
        ok(&client.recv()),
        r#"{"batch_predictions":[{"query_id":0,"output":"a","default":false},{"query_id":1,"output":"a","default":false}]}"#
    );
    client.send_request("POST /app/predict", &[], br#"{"input_batch":[[7]]}"#);
    replica.serve(&Output::Text("b".into()));
    assert_eq!(
        ok(&client.recv()),
        r#"{"query_id":2,"output":"b","default":false}"#
    );
}

#[test]
fn default_outputs_have_clippers_explanation_and_the_reason() {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy(&frontend, 1, Duration::from_millis(30));
    let mut client = client(&frontend);
    let response = client.post("/app/predict", r#"{"input":[1.0]}"#);
    assert_eq!(
        ok(&response),
        r#"{"query_id":0,"output":"none","default":true,"default_explanation":"No connected models found for query"}"#
    );
    let reason = response.header("clipper-default-reason");
    assert_eq!(reason, Some("no replica connected"));

    let mut replica = replica(&frontend, DataType::Floats);
    let response = client.post("/app/predict", r#"{"input":[1.0]}"#);
    assert_eq!(
        ok(&response),
        r#"{"query_id":1,"output":"none","default":true,"default_explanation":"Failed to retrieve a prediction response within the specified latency SLO"}"#
    );
    let reason = response.header("clipper-default-reason");
    assert_eq!(reason, Some("timed out at the replica"));
    drop(replica.recv_request());
}

#[test]
fn timing_is_returned_on_request() {
    let frontend = start("floats", 1);
    let mut replica = replica(&frontend, DataType::Floats);
    let mut client = client(&frontend);
    let headers = [("clipper-timing", "1")];
    client.send_request("POST /app/predict", &headers, br#"{"input":[1.0]}"#);
    replica.serve(&Output::Floats(vec![1.0]));
    let response = client.recv();
    let timing = response.header("server-timing").unwrap();
    assert!(timing.starts_with("queued;dur="), "{timing}");
    let server = ", waited;dur=0.002, predicting;dur=0.01, replying;dur=0.003";
    assert!(timing.ends_with(server), "{timing}");
}

#[test]
fn a_model_failure_is_the_default_explanation() {
    let frontend = start("floats", 1);
    let mut replica = replica(&frontend, DataType::Floats);
    let mut client = client(&frontend);
    client.send_request("POST /app/predict", &[], br#"{"input":[1.0]}"#);
    let request = replica.recv_request();
    let failed = vec![Err(InputError("3 pixels are \u{7121} picture".into()))];
    replica.reply(&request, DataType::Floats, failed);
    let response = client.recv();
    assert_eq!(
        ok(&response),
        "{\"query_id\":0,\"output\":\"none\",\"default\":true,\"default_explanation\":\"3 pixels are \u{7121} picture\"}"
    );
    let reason = response.header("clipper-default-reason");
    assert_eq!(reason, Some("3 pixels are ? picture"));
}

#[test]
fn errors_have_clippers_texts() {
    let frontend = start("doubles", 1);
    let mut client = client(&frontend);
    for (body, expected) in [
        (
            "{\"input\":[1.0",
            format!(
                r#"{{"error":"Json error","cause":"Error parsing JSON: JSON parse error: Missing a comma or ']' after an array element. (offset 13)\n. {SCHEMA}"}}"#
            ),
        ),
        (
            r#"{"input":[1]}"#,
            format!(
                r#"{{"error":"Json error","cause":"Error parsing JSON: Array input of type Number is not of type double. {SCHEMA}"}}"#
            ),
        ),
        (
            r#"{"version":"7","input":3}"#,
            r#"{"error":"Query processing error","cause":"Requested version: 7 does not exist for model: m"}"#.into(),
        ),
    ] {
        let response = client.post("/app/predict", body);
        assert_eq!((response.status, response.text()), (400, &expected[..]));
        let kind = response.header("content-type");
        assert_eq!(kind, Some("application/json"));
    }
}

#[test]
fn a_requested_model_version_gets_the_query() {
    let frontend = start("floats", 1);
    let second = r#"{"model_name":"m","model_version":"2","labels":[],"input_type":"floats","container_name":"","model_data_path":"","batch_size":1}"#;
    assert_eq!(admin(&frontend, "add_model", second).0, 200);
    let port = frontend.ports().rpc_service_port;
    let mut old = Peer::join(port, "1", DataType::Floats);
    let mut new = Peer::join(port, "2", DataType::Floats);
    let mut client = client(&frontend);
    client.send_request("POST /app/predict", &[], br#"{"input":[1.0]}"#);
    new.serve(&Output::Text("2".into()));
    assert!(ok(&client.recv()).contains(r#""output":2,"#));
    client.send_request(
        "POST /app/predict",
        &[],
        br#"{"input":[1.0],"version":"1"}"#,
    );
    old.serve(&Output::Text("1".into()));
    assert!(ok(&client.recv()).contains(r#""output":1,"#));
}

#[test]
fn feedback_is_accepted_and_takes_a_query_id() {
    let frontend = start("floats", 1);
    let mut client = client(&frontend);
    let good = r#"{"uid":0,"input":[1.0],"label":1.0}"#;
    for path in ["/app/update", "/app/update/"] {
        assert_eq!(ok(&client.post(path, good)), "Feedback received? 1");
    }
    let response = client.post("/app/update", r#"{"uid":0,"input":[1.0],"label":1}"#);
    assert_eq!(response.status, 400);
    assert_eq!(
        response.text(),
        "Error parsing JSON: PredictionData of type Number is not of type double. Expected JSON schema: \n  {\n   \"uid\" := string,\n   \"input\" := [double] | [int] | [string] | [byte] | [float],\n   \"label\" := double\n  }\n"
    );
    let response = client.post("/app/update", "{}");
    let missing = "Error parsing JSON: JSON object does not have required key: uid. ";
    assert!(response.text().starts_with(missing), "{}", response.text());
    let next = client.post("/app/predict", r#"{"input":[1.0]}"#);
    assert!(
        next.text().starts_with(r#"{"query_id":2,"#),
        "{}",
        next.text()
    );
}

#[test]
fn unknown_paths_are_404_on_an_open_connection() {
    let frontend = start("floats", 1);
    let mut client = client(&frontend);
    for (line, cause) in [
        ("POST /other/predict", "there is no application 'other'"),
        ("POST /app/forecast", "there is no POST /app/forecast here"),
        ("GET /app/predict", "there is no GET /app/predict here"),
        ("POST /predict", "there is no POST /predict here"),
    ] {
        client.send_request(line, &[], b"{}");
        let response = client.recv();
        let expected = format!(r#"{{"error":"Not found","cause":"{cause}"}}"#);
        assert_eq!((response.status, response.text()), (404, &expected[..]));
    }
}

#[test]
fn any_application_name_can_be_queried() {
    let frontend = Frontend::start(&settings()).unwrap();
    let app =
        r#"{"name":"a b/c+","input_type":"floats","default_output":"1","latency_slo_micros":1000}"#;
    assert_eq!(admin(&frontend, "add_app", app).0, 200);
    let response = client(&frontend).post("/a%20b/c+/predict", r#"{"input":[1.0]}"#);
    assert!(ok(&response).contains(r#""output":1,"default":true"#));
}

#[test]
fn a_full_queue_refuses_queries_at_once() {
    let frontend = start_with_flags(&["--max_queue=1"]);
    deploy(&frontend, 1, HOUR);
    let mut replica = replica(&frontend, DataType::Floats);
    let mut clients: Vec<HttpClient> = (0..4).map(|_| client(&frontend)).collect();
    let query = br#"{"input":[1.0]}"#;
    // Two queries are at the replica, one waits.
    let mut requests = Vec::new();
    for client in &mut clients[..2] {
        client.send_request("POST /app/predict", &[], query);
        requests.push(replica.recv_request());
    }
    clients[2].send_request("POST /app/predict", &[], query);
    let response = clients[3].post("/app/predict", r#"{"input_batch":[[1.0],[2.0]]}"#);
    assert_eq!(response.status, 503);
    let expected =
        r#"{"error":"Overloaded","cause":"overloaded: 1 queries (4 bytes) wait for m:1"}"#;
    assert_eq!(response.text(), expected);
    for request in requests {
        let outputs = vec![Ok(Output::Text("1".into()))];
        replica.reply(&request, DataType::Strings, outputs);
    }
    replica.serve(&Output::Text("1".into()));
    for client in &mut clients[..3] {
        ok(&client.recv());
    }
}

#[test]
fn queries_of_disconnected_clients_are_not_sent_to_replicas() {
    let frontend = start("floats", 1);
    let mut replica = replica(&frontend, DataType::Floats);
    let mut clients: Vec<HttpClient> = (0..4).map(|_| client(&frontend)).collect();
    let mut requests = Vec::new();
    for (client, input) in clients.iter_mut().zip(["0.0", "1.0", "2.0", "3.0"]) {
        let body = format!(r#"{{"input":[{input}]}}"#);
        client.send_request("POST /app/predict", &[], body.as_bytes());
        // One query is being computed, one is sent ahead, and the others wait.
        if requests.len() < 2 {
            requests.push(replica.recv_request());
        }
    }
    let await_waiting = |queries: usize| {
        let line = format!(r#"clipper_queue_queries{{model="m",version="1"}} {queries}"#);
        while !get(&frontend, "/metrics/prometheus").contains(&line) {}
    };
    await_waiting(2);
    drop(clients.remove(2));
    // The abandoned query leaves the queue at once, although no replica is idle.
    await_waiting(1);
    for request in requests {
        let outputs = vec![Ok(Output::Text("1".into()))];
        replica.reply(&request, DataType::Strings, outputs);
    }
    let inputs = replica.serve(&Output::Text("3".into()));
    assert_eq!(inputs, [3_f32.to_le_bytes()]);
    for client in &mut clients {
        ok(&client.recv());
    }
    let metrics: serde_json::Value = serde_json::from_str(&get(&frontend, "/metrics")).unwrap();
    let counters = metrics["counters"].as_array().unwrap();
    let abandoned = serde_json::json!({ "internal:abandoned_queries": { "count": "1" } });
    assert!(counters.contains(&abandoned), "{metrics}");
}

#[test]
fn an_oversized_body_is_refused_before_it_is_read() {
    let frontend = start_with_flags(&["--max_body_mib=1"]);
    deploy(&frontend, 1, HOUR);
    let mut client = client(&frontend);
    client.send(b"POST /app/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n");
    let response = client.recv();
    let expected = r#"{"error":"Payload Too Large","cause":"the body is larger than 1048576 bytes (see --max_body_mib)"}"#;
    assert_eq!((response.status, response.text()), (413, expected));

    let mut client = HttpClient::connect(frontend.ports().query_port);
    client.send(
        b"POST /app/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n",
    );
    client.send(&vec![b' '; 0x10_0001]);
    assert_eq!(client.recv().status, 413);
}

#[test]
fn admin_bodies_have_at_most_one_mebibyte() {
    let frontend = start_with_flags(&["--max_body_mib=64"]);
    let mut client = HttpClient::connect(frontend.ports().admin_port);
    client.send(b"POST /admin/add_app HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n");
    assert_eq!(client.recv().status, 413);
}

#[test]
fn idle_connections_and_unfinished_requests_time_out() {
    let frontend = start_with_flags(&["--timeout_request=1", "--timeout_content=1"]);
    deploy(&frontend, 1, HOUR);
    let idle = client(&frontend);
    let mut slow = client(&frontend);
    slow.send(b"POST /app/predict HTTP/1.1\r\nHost:");
    let mut stuck = client(&frontend);
    stuck.send(b"POST /app/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{");
    let mut used = client(&frontend);
    used.post("/app/predict", r#"{"input":[1.0]}"#);
    for mut client in [idle, slow, used] {
        client.wait_closed();
    }
    assert_eq!(stuck.recv().status, 408);
}
