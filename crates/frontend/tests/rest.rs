//! Clipper's query API over real HTTP, with model servers that say exact frames.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::Frontend;
use model::{DataType, InputError, Output};
use testkit::{Http, Peer, Response, admin, deploy, deploy_for, get, settings, settings_with};

const HOUR: Duration = Duration::from_secs(3600);

const SCHEMA: &str = r#"Expected JSON schema: \n  {\n   \"input\" := [double] | [int] | [string] | [byte] | [float],\n  }\n"#;

fn start(input_type: &str, batch_size: i32) -> Frontend {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy_for(&frontend, input_type, batch_size, HOUR);
    frontend
}

fn with_flags(flags: &[&str]) -> Frontend {
    Frontend::start(&settings_with(flags)).unwrap()
}

fn client(frontend: &Frontend) -> Http {
    Http::connect(frontend.ports().query_port)
}

fn replica(frontend: &Frontend, input_type: DataType) -> Peer {
    Peer::join(frontend.ports().rpc_service_port, "1", input_type)
}

fn ok(response: &Response) -> &str {
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    response.text()
}

#[test]
fn a_query_of_every_type_reaches_the_model_as_its_elements() {
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
        client.ask("POST /app/predict", &[], body.as_bytes());
        assert_eq!(replica.serve(&Output::Text("1.0".into())), [input]);
        let expected = r#"{"query_id":0,"output":1.0,"default":false}"#;
        assert_eq!(ok(&client.hear()), expected);
    }
}

#[test]
fn queries_are_counted_and_outputs_are_json_where_they_can_be() {
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
        // With the slash, too.
        client.ask("POST /app/predict/", &[], br#"{"input":[1.0]}"#);
        replica.serve(&output);
        let expected = format!(r#"{{"query_id":{id},"output":{json},"default":false}}"#);
        assert_eq!(ok(&client.hear()), expected);
    }
}

#[test]
fn a_batch_is_answered_in_its_order_and_a_batch_of_one_like_a_single_query() {
    let frontend = start("integers", 8);
    let mut replica = replica(&frontend, DataType::Ints);
    let mut client = client(&frontend);
    assert_eq!(
        ok(&client.post("/app/predict", r#"{"input_batch":[]}"#)),
        r#"{"batch_predictions":[]}"#
    );
    client.ask("POST /app/predict", &[], br#"{"input_batch":[[5],[6]]}"#);
    let mut heard = replica.serve(&Output::Text("a".into()));
    while heard.len() < 2 {
        heard.extend(replica.serve(&Output::Text("a".into())));
    }
    assert_eq!(heard, [5_i32, 6].map(i32::to_le_bytes));
    assert_eq!(
        ok(&client.hear()),
        r#"{"batch_predictions":[{"query_id":0,"output":"a","default":false},{"query_id":1,"output":"a","default":false}]}"#
    );
    client.ask("POST /app/predict", &[], br#"{"input_batch":[[7]]}"#);
    replica.serve(&Output::Text("b".into()));
    assert_eq!(
        ok(&client.hear()),
        r#"{"query_id":2,"output":"b","default":false}"#
    );
}

#[test]
fn a_default_output_comes_with_clippers_explanation_and_the_precise_reason() {
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
    drop(replica.hear_request());
}

#[test]
fn who_asks_for_it_is_told_where_the_time_went() {
    let frontend = start("floats", 1);
    let mut replica = replica(&frontend, DataType::Floats);
    let mut client = client(&frontend);
    let headers = [("clipper-timing", "1")];
    client.ask("POST /app/predict", &headers, br#"{"input":[1.0]}"#);
    replica.serve(&Output::Floats(vec![1.0]));
    let response = client.hear();
    let timing = response.header("server-timing").unwrap();
    assert!(timing.starts_with("queued;dur="), "{timing}");
    let server = ", waited;dur=0.002, predicting;dur=0.01, replying;dur=0.003";
    assert!(timing.ends_with(server), "{timing}");
}

#[test]
fn a_model_that_fails_is_said_to() {
    let frontend = start("floats", 1);
    let mut replica = replica(&frontend, DataType::Floats);
    let mut client = client(&frontend);
    client.ask("POST /app/predict", &[], br#"{"input":[1.0]}"#);
    let request = replica.hear_request();
    let failed = vec![Err(InputError("3 pixels are \u{7121} picture".into()))];
    replica.reply(&request, DataType::Floats, failed);
    let response = client.hear();
    assert_eq!(
        ok(&response),
        "{\"query_id\":0,\"output\":\"none\",\"default\":true,\"default_explanation\":\"3 pixels are \u{7121} picture\"}"
    );
    let reason = response.header("clipper-default-reason");
    assert_eq!(reason, Some("3 pixels are ? picture"));
}

#[test]
fn errors_are_clippers() {
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
fn a_version_that_is_asked_for_gets_the_query() {
    let frontend = start("floats", 1);
    let second = r#"{"model_name":"m","model_version":"2","labels":[],"input_type":"floats","container_name":"","model_data_path":"","batch_size":1}"#;
    assert_eq!(admin(&frontend, "add_model", second).0, 200);
    let port = frontend.ports().rpc_service_port;
    let mut old = Peer::join(port, "1", DataType::Floats);
    let mut new = Peer::join(port, "2", DataType::Floats);
    let mut client = client(&frontend);
    client.ask("POST /app/predict", &[], br#"{"input":[1.0]}"#);
    new.serve(&Output::Text("2".into()));
    assert!(ok(&client.hear()).contains(r#""output":2,"#));
    client.ask(
        "POST /app/predict",
        &[],
        br#"{"input":[1.0],"version":"1"}"#,
    );
    old.serve(&Output::Text("1".into()));
    assert!(ok(&client.hear()).contains(r#""output":1,"#));
}

#[test]
fn feedback_is_taken_and_has_a_query_id_of_its_own() {
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
fn what_is_not_there_is_404_on_a_connection_that_goes_on() {
    let frontend = start("floats", 1);
    let mut client = client(&frontend);
    for (what, cause) in [
        ("POST /other/predict", "there is no application 'other'"),
        ("POST /app/forecast", "there is no POST /app/forecast here"),
        ("GET /app/predict", "there is no GET /app/predict here"),
        ("POST /predict", "there is no POST /predict here"),
    ] {
        client.ask(what, &[], b"{}");
        let response = client.hear();
        let expected = format!(r#"{{"error":"Not found","cause":"{cause}"}}"#);
        assert_eq!((response.status, response.text()), (404, &expected[..]));
    }
}

#[test]
fn any_application_name_can_be_asked() {
    let frontend = Frontend::start(&settings()).unwrap();
    let app =
        r#"{"name":"a b/c+","input_type":"floats","default_output":"1","latency_slo_micros":1000}"#;
    assert_eq!(admin(&frontend, "add_app", app).0, 200);
    let response = client(&frontend).post("/a%20b/c+/predict", r#"{"input":[1.0]}"#);
    assert!(ok(&response).contains(r#""output":1,"default":true"#));
}

#[test]
fn a_query_for_which_there_is_no_room_is_refused_at_once() {
    let frontend = with_flags(&["--max_queue=1"]);
    deploy(&frontend, 1, HOUR);
    let mut replica = replica(&frontend, DataType::Floats);
    let mut clients: Vec<Http> = (0..4).map(|_| client(&frontend)).collect();
    let query = br#"{"input":[1.0]}"#;
    // Two go to the replica, one waits.
    let mut requests = Vec::new();
    for client in &mut clients[..2] {
        client.ask("POST /app/predict", &[], query);
        requests.push(replica.hear_request());
    }
    clients[2].ask("POST /app/predict", &[], query);
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
        ok(&client.hear());
    }
}

#[test]
fn a_query_whose_client_has_gone_is_not_sent_to_a_replica() {
    let frontend = start("floats", 1);
    let mut replica = replica(&frontend, DataType::Floats);
    let mut clients: Vec<Http> = (0..4).map(|_| client(&frontend)).collect();
    let mut requests = Vec::new();
    for (client, input) in clients.iter_mut().zip(["0.0", "1.0", "2.0", "3.0"]) {
        let body = format!(r#"{{"input":[{input}]}}"#);
        client.ask("POST /app/predict", &[], body.as_bytes());
        // One is computed, one lies ready; the others wait.
        if requests.len() < 2 {
            requests.push(replica.hear_request());
        }
    }
    let await_waiting = |queries: usize| {
        let line = format!(r#"clipper_queue_queries{{model="m",version="1"}} {queries}"#);
        while !get(&frontend, "/metrics/prometheus").contains(&line) {}
    };
    await_waiting(2);
    drop(clients.remove(2));
    // Its place is free although no replica is.
    await_waiting(1);
    for request in requests {
        let outputs = vec![Ok(Output::Text("1".into()))];
        replica.reply(&request, DataType::Strings, outputs);
    }
    let inputs = replica.serve(&Output::Text("3".into()));
    assert_eq!(inputs, [3_f32.to_le_bytes()]);
    for client in &mut clients {
        ok(&client.hear());
    }
    let metrics: serde_json::Value = serde_json::from_str(&get(&frontend, "/metrics")).unwrap();
    let counters = metrics["counters"].as_array().unwrap();
    let abandoned = serde_json::json!({ "internal:abandoned_queries": { "count": "1" } });
    assert!(counters.contains(&abandoned), "{metrics}");
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let frontend = with_flags(&["--max_body_mib=1"]);
    deploy(&frontend, 1, HOUR);
    let mut client = client(&frontend);
    client.say(b"POST /app/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n");
    let response = client.hear();
    let expected = r#"{"error":"Payload Too Large","cause":"the body is larger than 1048576 bytes (see --max_body_mib)"}"#;
    assert_eq!((response.status, response.text()), (413, expected));

    let mut client = Http::connect(frontend.ports().query_port);
    client.say(
        b"POST /app/predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n",
    );
    client.say(&vec![b' '; 0x10_0001]);
    assert_eq!(client.hear().status, 413);
}

#[test]
fn a_body_of_the_admin_api_has_a_mebibyte_at_most() {
    let frontend = with_flags(&["--max_body_mib=64"]);
    let mut client = Http::connect(frontend.ports().admin_port);
    client.say(b"POST /admin/add_app HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n");
    assert_eq!(client.hear().status, 413);
}

#[test]
fn a_connection_on_which_nothing_comes_is_closed_and_so_is_one_whose_request_does_not_end() {
    let frontend = with_flags(&["--timeout_request=1", "--timeout_content=1"]);
    deploy(&frontend, 1, HOUR);
    let idle = client(&frontend);
    let mut slow = client(&frontend);
    slow.say(b"POST /app/predict HTTP/1.1\r\nHost:");
    let mut stuck = client(&frontend);
    stuck.say(b"POST /app/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{");
    let mut used = client(&frontend);
    used.post("/app/predict", r#"{"input":[1.0]}"#);
    for mut client in [idle, slow, used] {
        client.wait_closed();
    }
    assert_eq!(stuck.hear().status, 408);
}
