//! The model server as a process behind a real frontend: double inputs through every interface
//! match LightGBM's Python package, wrong lengths and shapes are errors, and a model that needs
//! doubles warns.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::Frontend;
use model::{DataType, Output};
use serde_json::{Value, json};
use testkit::{HttpClient, ModelServer, Peer, Rpc, deploy_for, settings};
use wire::query::{Answer, AnswerStatus, HIGH_PERF_MARK, Input, QueryRequest};

const PROGRAM: &str = env!("CARGO_BIN_EXE_lgbm");
const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doubles/timestamps.txt");
const HOUR: Duration = Duration::from_secs(3600);

/// Times that float32 rounds to the same number, and their scores by Python's `Booster.predict`
/// (`reference.py`).
const TIMES: [(f64, f64); 4] = [
    (1_700_000_990.0, 0.5279617469456988),
    (1_700_001_010.0, 9.477850480640937),
    (1_700_000_965.0, 0.2246462680701782),
    (1_700_001_050.0, 9.802387153983494),
];

fn bytes(row: &[f64]) -> Vec<u8> {
    row.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn start(input_type: &str, rpc: Rpc) -> (Frontend, ModelServer) {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy_for(&frontend, input_type, 8, HOUR);
    let server = ModelServer::start(PROGRAM, &frontend, rpc, |command| {
        command
            .env("CLIPPER_MODEL_PATH", MODEL)
            .env("CLIPPER_INPUT_TYPE", input_type)
    });
    (frontend, server)
}

fn assert_score(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() <= 1e-12,
        "{what}: {found}, not {expected}"
    );
}

/// Returns the only number of an output; older container RPCs send it as text.
fn score(output_type: DataType, output: &[u8]) -> f64 {
    match Output::read(output_type, output).unwrap() {
        Output::Doubles(scores) => scores[0],
        Output::Text(text) => serde_json::from_str::<[f64; 1]>(&text).unwrap()[0],
        other => panic!("{other:?}"),
    }
}

/// A ZeroMQ client of one of the protocol generations.
struct Client {
    answers: Peer,
    requests: Peer,
    /// Session in our protocol; `None` in Clipper's.
    session: Option<u64>,
    id: u32,
}

/// An answer to a ZeroMQ client.
struct ClientAnswer {
    output_type: DataType,
    output: Vec<u8>,
    /// Status and reason, in our protocol.
    status: Option<(AnswerStatus, String)>,
}

impl Client {
    fn of_clipper(frontend: &Frontend, mark: &[u8]) -> Client {
        let mut answers = Peer::connect(frontend.ports().send_port);
        answers.send(&[vec![], mark.to_vec()]);
        let id = answers.recv()[1][..].try_into().unwrap();
        Client {
            answers,
            requests: Peer::connect(frontend.ports().recv_port),
            session: None,
            id: u32::from_le_bytes(id),
        }
    }

    fn native(frontend: &Frontend) -> Client {
        let mut answers = Peer::connect(frontend.ports().send_port);
        let connected = answers.connect_native();
        Client {
            answers,
            requests: Peer::connect(frontend.ports().recv_port),
            session: Some(connected.session),
            id: connected.client_id,
        }
    }

    fn query(&mut self, row: &[f64]) -> ClientAnswer {
        let input = bytes(row);
        let request = QueryRequest {
            session: self.session,
            client_id: self.id,
            request_id: 7,
            app: "app",
            input_type: DataType::Doubles,
            deadline: None,
            input: Input::Frame(&input),
        };
        if self.session.is_some() {
            self.requests.send_with(|frames| request.encode(frames));
            let frames = self.answers.recv();
            let answer = Answer::decode(&frames).unwrap();
            return ClientAnswer {
                output_type: answer.output_type,
                output: answer.output.to_vec(),
                status: Some((answer.status, answer.reason.to_owned())),
            };
        }
        let number = |number: u32| number.to_le_bytes().to_vec();
        let (kind, count) = (DataType::Doubles.code(), row.len() as u32);
        let head = [vec![], number(self.id), number(7), b"app".to_vec()];
        let tail = [number(kind), number(count), input];
        self.requests.send(&[&head[..], &tail].concat());
        let frames = self.answers.recv();
        let code = u32::from_le_bytes(frames[2][..].try_into().unwrap());
        // The high-performance answer has the output's size before the output.
        let output = if frames.len() > 4 {
            &frames[4]
        } else {
            &frames[3]
        };
        ClientAnswer {
            output_type: DataType::from_code(code).unwrap(),
            output: output.clone(),
            status: None,
        }
    }
}

/// Connects one client of each ZeroMQ generation.
fn clients(frontend: &Frontend) -> [(&'static str, Client); 3] {
    [
        ("2017", Client::of_clipper(frontend, b"")),
        ("highperf", Client::of_clipper(frontend, HIGH_PERF_MARK)),
        ("native", Client::native(frontend)),
    ]
}

#[test]
fn doubles_reach_the_model_over_every_container_rpc_and_client() {
    for rpc in Rpc::ALL {
        let (frontend, _server) = start("doubles", rpc);
        let mut rest = HttpClient::connect(frontend.ports().query_port);
        let mut clients = clients(&frontend);
        for (time, expected) in TIMES {
            let body = json!({ "input": [time, 0.1] }).to_string();
            let response = rest.post("/app/predict", &body);
            let answer: Value = serde_json::from_slice(&response.body).unwrap();
            let found = answer["output"][0].as_f64();
            let found = found.unwrap_or_else(|| panic!("{rpc:?}: {answer}"));
            assert_score(found, expected, &format!("REST, {rpc:?}"));
            for (name, client) in &mut clients {
                let answer = client.query(&[time, 0.1]);
                let found = score(answer.output_type, &answer.output);
                assert_score(found, expected, &format!("ZeroMQ {name}, {rpc:?}"));
            }
        }
    }
}

#[test]
fn the_open_inference_protocol_uses_fp64() {
    let (frontend, _server) = start("doubles", Rpc::V4);
    let mut client = HttpClient::connect(frontend.ports().query_port);
    let metadata: Value = serde_json::from_slice(&client.get("/v2/models/app").body).unwrap();
    let input = json!([{"name": "input", "datatype": "FP64", "shape": [-1, 2]}]);
    assert_eq!(metadata["inputs"], input);
    assert_eq!(metadata["outputs"][0]["datatype"], "FP64");

    let rows = TIMES.map(|(time, _)| [time, 0.1]);
    let tensor =
        |data: Value| json!({"name": "input", "shape": [4, 2], "datatype": "FP64", "data": data});
    for data in [json!(rows), json!(rows.concat())] {
        let request = json!({ "inputs": [tensor(data)] }).to_string();
        let response = client.post("/v2/models/app/infer", &request);
        assert_eq!(response.status, 200, "{}", response.text());
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        let output = &answer["outputs"][0];
        assert_eq!(
            (&output["datatype"], &output["shape"]),
            (&json!("FP64"), &json!([4, 1]))
        );
        for (place, (_, expected)) in TIMES.iter().enumerate() {
            assert_score(output["data"][place].as_f64().unwrap(), *expected, "JSON");
        }
    }

    let request = json!({
        "inputs": [{"name": "input", "shape": [4, 2], "datatype": "FP64", "parameters": {"binary_data_size": 64}}],
        "outputs": [{"name": "output", "parameters": {"binary_data": true}}],
    })
    .to_string();
    let length = request.len().to_string();
    let body = [request.as_bytes(), &bytes(&rows.concat())].concat();
    let headers = [("Inference-Header-Content-Length", length.as_str())];
    client.send_request("POST /v2/models/app/infer", &headers, &body);
    let response = client.recv();
    let length: usize = response
        .header("inference-header-content-length")
        .unwrap()
        .parse()
        .unwrap();
    let scores = response.body[length..].chunks_exact(8);
    assert_eq!(scores.len(), 4);
    for (raw, (_, expected)) in scores.zip(TIMES) {
        assert_score(score(DataType::Doubles, raw), expected, "binary");
    }
}

#[test]
fn every_interface_rejects_wrong_lengths_and_shapes() {
    let (frontend, _server) = start("doubles", Rpc::V4);
    let mut rest = HttpClient::connect(frontend.ports().query_port);
    for row in [&[1.5][..], &[1.5, 2.5, 3.5], &[]] {
        let reason = format!(
            "an input must be 2 doubles (16 bytes), this one has {} bytes",
            8 * row.len()
        );
        let response = rest.post("/app/predict", &json!({ "input": row }).to_string());
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(answer["default"], true);
        assert_eq!(answer["default_explanation"], *reason);
        for (name, mut client) in clients(&frontend) {
            let answer = client.query(row);
            assert_eq!(answer.output, b"none", "{name}");
            if let Some(status) = answer.status {
                assert_eq!(status, (AnswerStatus::Error, reason.clone()));
            }
        }
    }
    for shape in [
        json!([2, 1]),
        json!([1, 1, 2]),
        json!([2]),
        json!([1, 2, 1]),
    ] {
        let tensor =
            json!({"name": "input", "shape": shape, "datatype": "FP64", "data": [1.5, 2.5]});
        let request = json!({ "inputs": [tensor] }).to_string();
        let response = rest.post("/v2/models/app/infer", &request);
        let error: Value = serde_json::from_slice(&response.body).unwrap();
        let shape = shape.to_string().replace(',', ", ");
        let expected = format!("the model takes the shape [-1, 2], not {shape}");
        assert_eq!((response.status, &error["error"]), (400, &json!(expected)));
    }
}

#[test]
fn float_inputs_for_a_double_model_cause_one_warning() {
    let warnings_of = |server: &ModelServer| -> Vec<String> {
        let lines = server.log.iter();
        lines
            .filter(|line| line.contains("WARN"))
            .cloned()
            .collect()
    };
    let (_frontend, server) = start("floats", Rpc::V4);
    let warnings = warnings_of(&server);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in [
        "timestamps.txt: feature \"Column_0\"",
        "CLIPPER_INPUT_TYPE=doubles",
    ] {
        assert!(warnings[0].contains(part), "{warnings:?}");
    }
    let (_frontend, server) = start("doubles", Rpc::V4);
    assert_eq!(warnings_of(&server), Vec::<String>::new());
}
