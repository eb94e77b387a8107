//! The frontend's metrics over real HTTP.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::Frontend;
use model::{DataType, InputError, Output};
use serde_json::Value;
use testkit::{HttpClient, Peer, admin, deploy, get, reply_doubled, settings, settings_with};

const HOUR: Duration = Duration::from_secs(3600);

fn client(frontend: &Frontend) -> HttpClient {
    HttpClient::connect(frontend.ports().query_port)
}

/// Sends two queries: the model answers the first and fails on the second.
fn two_queries(frontend: &Frontend) -> Peer {
    let port = frontend.ports().rpc_service_port;
    let mut replica = Peer::join(port, "1", DataType::Floats);
    let mut client = client(frontend);
    client.send_request("POST /app/predict", &[], br#"{"input":[1.0]}"#);
    replica.serve(&Output::Floats(vec![1.0]));
    assert_eq!(client.recv().status, 200);
    client.send_request("POST /app/predict", &[], br#"{"input":[2.0]}"#);
    let request = replica.recv_request();
    let failed = vec![Err(InputError("no picture".into()))];
    replica.reply(&request, DataType::Floats, failed);
    assert_eq!(client.recv().status, 200);
    replica
}

/// Returns the value `leaf` of the metric `name` in Clipper's report.
fn leaf(frontend: &Frontend, kind: &str, name: &str, leaf: &str) -> String {
    let report: Value = serde_json::from_str(&get(frontend, "/metrics")).unwrap();
    let list = report[kind].as_array().unwrap();
    let found = list.iter().find_map(|entry| entry.get(name));
    let found = found.unwrap_or_else(|| panic!("no {name} in {report:#}"));
    found[leaf].as_str().unwrap().to_owned()
}

#[test]
fn clippers_report_has_clippers_names() {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy(&frontend, 1, HOUR);
    let unused = leaf(
        &frontend,
        "ratio_counters",
        "app:app:default_prediction_ratio",
        "ratio",
    );
    assert_eq!(unused, "nan");
    let _replica = two_queries(&frontend);
    for (kind, name, field, value) in [
        (
            "counters",
            "internal:prediction_cache_lookups",
            "count",
            "0",
        ),
        (
            "ratio_counters",
            "internal:prediction_cache_hit_ratio",
            "ratio",
            "nan",
        ),
        (
            "counters",
            "internal:aggregate_num_predictions",
            "count",
            "2",
        ),
        (
            "meters",
            "internal:aggregate_model_throughput",
            "unit",
            "events per second",
        ),
        (
            "histograms",
            "internal:rpc_request_queueing_delay",
            "size",
            "2",
        ),
        ("histograms", "app:app:prediction_latency", "size", "2"),
        ("meters", "app:app:prediction_throughput", "rate_1min", "-1"),
        ("counters", "app:app:num_predictions", "count", "2"),
        (
            "ratio_counters",
            "app:app:default_prediction_ratio",
            "ratio",
            "0.5",
        ),
        (
            "histograms",
            "model:m:1:prediction_latency",
            "unit",
            "microseconds",
        ),
        (
            "meters",
            "model:m:1:prediction_throughput",
            "rate_15min",
            "-1",
        ),
        ("counters", "model:m:1:num_predictions", "count", "2"),
        (
            "ratio_counters",
            "model:m:1:cache_hit_ratio",
            "ratio",
            "nan",
        ),
        ("histograms", "model:m:1:batch_size", "max", "1"),
        ("histograms", "model:m:1:predicting", "p50", "10"),
    ] {
        assert_eq!(leaf(&frontend, kind, name, field), value, "{name}");
    }
}

#[test]
fn text_requests_get_the_prometheus_formats() {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy(&frontend, 1, HOUR);
    let _replica = two_queries(&frontend);
    let mut client = client(&frontend);
    client.send_request(
        "POST /app/predict",
        &[],
        br#"{"input":[1.0],"version":"9"}"#,
    );
    assert_eq!(client.recv().status, 400);
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let plain = "text/plain; version=0.0.4; charset=utf-8";
    for (path, accept, content_type) in [
        (
            "/metrics",
            "application/openmetrics-text;version=1.0.0,*/*;q=0.1",
            open,
        ),
        (
            "/metrics",
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            plain,
        ),
        ("/metrics/prometheus", "*/*", open),
        ("/metrics", "*/*", "application/json"),
    ] {
        client.send_request(&format!("GET {path}"), &[("Accept", accept)], b"");
        let response = client.recv();
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), Some(content_type));
        let is_text = response.text().contains("# TYPE clipper_answers counter\n");
        assert_eq!(is_text, content_type != "application/json");
    }
    let text = get(&frontend, "/metrics/prometheus");
    for line in [
        r#"clipper_answers_total{app="app",status="ok",reason=""} 1"#,
        r#"clipper_answers_total{app="app",status="error",reason="model failed"} 1"#,
        "clipper_abandoned_queries_total 0",
        r#"clipper_query_duration_seconds_count{app="app"} 2"#,
        r#"clipper_predictions_total{model="m",version="1"} 2"#,
        r#"clipper_batch_size_bucket{le="1.0",model="m",version="1"} 2"#,
        r#"clipper_batch_size_bucket{le="+Inf",model="m",version="1"} 2"#,
        r#"clipper_batch_size_sum{model="m",version="1"} 2.0"#,
        r#"clipper_stage_duration_seconds_bucket{le="0.0001",model="m",version="1",stage="predicting"} 2"#,
        r#"clipper_stage_duration_seconds_count{model="m",version="1",stage="queued"} 2"#,
        r#"clipper_queue_queries{model="m",version="1"} 0"#,
        r#"clipper_queue_bytes{model="m",version="1"} 0"#,
        r#"clipper_replicas{model="m",version="1"} 1"#,
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn late_answers_do_not_restore_a_deleted_applications_metrics() {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy(&frontend, 1, HOUR);
    let mut replica = Peer::join(frontend.ports().rpc_service_port, "1", DataType::Floats);
    let mut client = client(&frontend);
    client.send_request("POST /app/predict", &[], br#"{"input":[1.0]}"#);
    let request = replica.recv_request();
    assert_eq!(admin(&frontend, "delete_app", r#"{"name":"app"}"#).0, 200);
    reply_doubled(&mut replica, &request);
    assert!(client.recv().text().contains(r#""output":[2.0]"#));
    let metrics = get(&frontend, "/metrics/prometheus");
    assert!(!metrics.contains(r#"app="app""#), "{metrics}");
}

#[test]
fn cached_and_refused_queries_have_traces_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("traces");
    let flags = [
        "--prediction_cache_size=1000000",
        "--trace_every=1",
        &format!("--trace_file={}", file.display()),
    ];
    let frontend = Frontend::start(&settings_with(&flags)).unwrap();
    deploy(&frontend, 1, HOUR);
    let mut replica = Peer::join(frontend.ports().rpc_service_port, "1", DataType::Floats);
    let mut client = client(&frontend);
    client.send_request("POST /app/predict", &[], br#"{"input":[1.0]}"#);
    let request = replica.recv_request();
    reply_doubled(&mut replica, &request);
    client.recv();
    client.post("/app/predict", r#"{"input":[1.0]}"#);
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    requests.send_query_to("other", connected, 1, &[1.0]);
    answers.recv();
    drop(frontend);
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let traces = lines.iter().map(|line| {
        let spans = &line["resourceSpans"][0]["scopeSpans"][0]["spans"];
        let app = &spans[0]["attributes"][0]["value"]["stringValue"];
        (app.as_str().unwrap(), spans.as_array().unwrap().len())
    });
    // The first query went to a replica, and has a span per stage there.
    assert_eq!(
        traces.collect::<Vec<_>>(),
        [("app", 6), ("app", 2), ("other", 2)]
    );
}
