//! The Open Inference Protocol over real HTTP, with model servers that send exact frames.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::Frontend;
use model::{DataType, ModelInfo, Output};
use serde_json::{Value, json};
use testkit::{HttpClient, HttpResponse, Peer, admin, deploy_for, settings};
use wire::rpc::{Metadata, NewContainer};

const HOUR: Duration = Duration::from_secs(3600);

fn start(input_type: &str) -> Frontend {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy_for(&frontend, input_type, 8, HOUR);
    frontend
}

fn client(frontend: &Frontend) -> HttpClient {
    HttpClient::connect(frontend.ports().query_port)
}

fn replica(frontend: &Frontend, input_type: DataType) -> Peer {
    Peer::join(frontend.ports().rpc_service_port, "1", input_type)
}

fn ok(response: &HttpResponse) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

fn error(response: &HttpResponse) -> (u16, String) {
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    let text = body["error"].as_str().unwrap();
    (response.status, text.to_owned())
}

/// Sends an inference request whose body is JSON with a binary tensor after it.
fn send_binary(client: &mut HttpClient, json: &Value, tensor: &[u8]) {
    let json = json.to_string();
    let length = json.len().to_string();
    let headers = [("Inference-Header-Content-Length", length.as_str())];
    let body = [json.as_bytes(), tensor].concat();
    client.send_request("POST /v2/models/app/infer", &headers, &body);
}

#[test]
fn metadata_of_server_and_models_are_served() {
    let frontend = start("floats");
    let mut client = client(&frontend);
    let server = ok(&client.get("/v2"));
    assert_eq!(server["name"], "clipper");
    assert_eq!(server["extensions"][0], "binary_tensor_data");
    assert_eq!(client.get("/v2/health/live").status, 200);
    assert_eq!(client.get("/v2/health/ready").status, 200);

    // Without a replica the model is not ready, but its input is known.
    let expected = (503, "no replica connected".to_owned());
    assert_eq!(error(&client.get("/v2/models/app/ready")), expected);
    let metadata = ok(&client.get("/v2/models/m"));
    let input = json!([{"name": "input", "datatype": "FP32", "shape": [-1, -1]}]);
    assert_eq!(metadata["inputs"], input);

    let mut peer = Peer::connect(frontend.ports().rpc_service_port);
    peer.register(&NewContainer {
        name: "m".into(),
        version: "1".into(),
        input_type: DataType::Floats,
        metadata: Some(Metadata {
            model: ModelInfo {
                output_type: DataType::Floats,
                input_shape: vec![2, 3],
                ..ModelInfo::default()
            },
            ..Metadata::default()
        }),
    });
    for path in ["app", "m", "app/versions/1", "m/versions/1"] {
        let model = format!("/v2/models/{path}");
        assert_eq!(client.get(&format!("{model}/ready")).status, 200);
        let metadata = ok(&client.get(&model));
        assert_eq!(metadata["versions"], json!(["1"]));
        let input = json!([{"name": "input", "datatype": "FP32", "shape": [-1, 2, 3]}]);
        assert_eq!(metadata["inputs"], input);
        let output = json!([{"name": "output", "datatype": "FP32", "shape": [-1, -1]}]);
        assert_eq!(metadata["outputs"], output);
        let config = ok(&client.get(&format!("{model}/config")));
        let input = json!([{"name": "input", "data_type": "TYPE_FP32", "dims": [2, 3]}]);
        assert_eq!(config["input"], input);
    }
    for (path, text) in [
        ("x", "there is no application or linked model 'x'"),
        ("app/versions/9", "model 'm' has no version '9'"),
    ] {
        let response = client.get(&format!("/v2/models/{path}"));
        assert_eq!(error(&response), (404, text.to_owned()));
    }
}

#[test]
fn each_row_is_a_query_and_an_output_row() {
    let frontend = start("floats");
    let mut replica = replica(&frontend, DataType::Floats);
    let mut client = client(&frontend);
    let request = json!({"id": "7", "inputs": [
        {"name": "input", "shape": [2, 2], "datatype": "FP32", "data": [[1, 2.5], [3.0, 4]]},
    ]});
    let paths = [
        "/v2/models/app/infer",
        "/v2/models/m/infer",
        "/v2/models/app/versions/1/infer",
    ];
    for path in paths {
        client.send_request(&format!("POST {path}"), &[], request.to_string().as_bytes());
        let mut inputs = replica.serve(&Output::Floats(vec![0.5, -1.0, 2.0]));
        while inputs.len() < 2 {
            inputs.extend(replica.serve(&Output::Floats(vec![0.5, -1.0, 2.0])));
        }
        let rows = [[1_f32, 2.5], [3.0, 4.0]];
        assert_eq!(inputs, rows.map(|row| row.map(f32::to_le_bytes).concat()));
        let answer = ok(&client.recv());
        let output = json!([{"name": "output", "datatype": "FP32", "shape": [2, 3],
            "data": [0.5, -1.0, 2.0, 0.5, -1.0, 2.0]}]);
        assert_eq!(answer["outputs"], output);
        assert_eq!(
            (&answer["id"], &answer["model_version"]),
            (&json!("7"), &json!("1"))
        );
    }
}

#[test]
fn binary_tensors_of_every_type_are_supported() {
    let texts = [2_u32.to_le_bytes(), *b"ab\x01\0", [0, 0, b'c', 0]].concat();
    let doubles = [1.5_f64, 2.0].map(f64::to_le_bytes).concat();
    for (input_type, datatype, shape, tensor, output) in [
        (
            "floats",
            "FP32",
            [1, 2],
            [0; 8].to_vec(),
            Output::Floats(vec![1.0]),
        ),
        (
            "doubles",
            "FP64",
            [1, 2],
            doubles,
            Output::Doubles(vec![1.0]),
        ),
        (
            "integers",
            "INT32",
            [2, 1],
            vec![1; 8],
            Output::Ints(vec![1, -2]),
        ),
        (
            "bytes",
            "UINT8",
            [2, 3],
            b"abcdef".to_vec(),
            Output::Bytes(vec![9]),
        ),
        (
            "strings",
            "BYTES",
            [2, 1],
            texts[..11].to_vec(),
            Output::Text("x".into()),
        ),
        (
            "bytes",
            "BYTES",
            [2, 1],
            texts[..11].to_vec(),
            Output::Text("x".into()),
        ),
    ] {
        let frontend = start(input_type);
        let mut replica = replica(&frontend, input_type.parse().unwrap());
        let mut client = client(&frontend);
        let request = json!({
            "inputs": [{"name": "x", "shape": shape, "datatype": datatype,
                "parameters": {"binary_data_size": tensor.len()}}],
            "outputs": [{"name": "output", "parameters": {"binary_data": true}}],
        });
        send_binary(&mut client, &request, &tensor);
        let mut inputs = replica.serve(&output);
        while inputs.len() < shape[0] {
            inputs.extend(replica.serve(&output));
        }
        if datatype == "BYTES" {
            assert_eq!(inputs, [b"ab".to_vec(), b"c".to_vec()]);
        } else {
            assert_eq!(inputs.concat(), tensor);
        }
        let response = client.recv();
        assert_eq!(response.status, 200, "{}", response.text());
        let length = response.header("inference-header-content-length").unwrap();
        let (head, tensor) = response.body.split_at(length.parse().unwrap());
        let head: Value = serde_json::from_slice(head).unwrap();
        let size = &head["outputs"][0]["parameters"]["binary_data_size"];
        assert_eq!(*size, json!(tensor.len()));
        let mut row = Vec::new();
        if let Output::Text(_) = output {
            row.extend(1_u32.to_le_bytes());
        }
        output.write_to(&mut row);
        assert_eq!(tensor, row.repeat(shape[0]));
    }
}

#[test]
fn texts_are_elements_of_bytes_tensors_only() {
    let frontend = start("bytes");
    let request = json!({"inputs": [{"name": "x", "shape": [2, 3], "datatype": "UINT8",
        "data": ["a", "b", "c", "d", "e", "f"]}]});
    let response = client(&frontend).post("/v2/models/app/infer", &request.to_string());
    assert_eq!(response.status, 400);
}

#[test]
fn invalid_tensors_are_refused() {
    let frontend = start("floats");
    let mut client = client(&frontend);
    let input = |shape: Value, datatype: &str, data: Value| json!({"inputs": [{"name": "input", "shape": shape, "datatype": datatype, "data": data}]});
    for (request, text) in [
        (
            input(json!([1, 2]), "FP64", json!([1, 2])),
            "the model takes FP32, not FP64",
        ),
        (
            input(json!([1, 2]), "FP32", json!([1])),
            "there are 1 elements, not 2",
        ),
        (input(json!([1]), "FP32", json!(["a"])), "data must be FP32"),
        (
            input(json!([1]), "FP32", json!([1e39])),
            "data must be FP32",
        ),
        (
            input(json!([0, 2]), "FP32", json!([])),
            "a dimension of the shape is 0",
        ),
        (input(json!([]), "FP32", json!([])), "the shape is empty"),
        (
            input(json!([2, 1_u64 << 62, 4]), "FP32", json!([])),
            "the shape is too large",
        ),
        (
            input(json!([100_001, 1]), "FP32", json!([])),
            "there are more than 100000 rows",
        ),
        (json!({"inputs": []}), "there must be exactly one input"),
        (
            json!({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}),
            "there are no data",
        ),
    ] {
        let response = client.post("/v2/models/app/infer", &request.to_string());
        assert_eq!(error(&response), (400, text.to_owned()), "{request}");
    }
    for size in [0, 3, 4, 9] {
        let request = json!({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32",
            "parameters": {"binary_data_size": size}}]});
        send_binary(&mut client, &request, &[0; 8]);
        assert_eq!(client.recv().status, 400, "{size}");
    }
    let request = json!({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32",
        "parameters": {"binary_data_size": 8}}]});
    send_binary(&mut client, &request, &[0; 9]);
    let text = "binary_data_size is not the size of the data";
    assert_eq!(error(&client.recv()), (400, text.into()));
    let headers = [("Inference-Header-Content-Length", "99")];
    client.send_request("POST /v2/models/app/infer", &headers, b"{}");
    assert_eq!(client.recv().status, 400);
    assert_eq!(client.post("/v2/models/app/infer", "{").status, 400);
    let headers = [("Content-Encoding", "gzip")];
    client.send_request("POST /v2/models/app/infer", &headers, b"");
    let text = "compressed bodies are not supported";
    assert_eq!(error(&client.recv()), (415, text.into()));
}

#[test]
fn bytes_with_wrong_lengths_are_refused() {
    let frontend = start("strings");
    let mut client = client(&frontend);
    for tensor in [
        &[9, 0, 0, 0, b'a'][..],
        &[0; 8],
        &[0, 0, 0],
        &[0, 0, 0, 0, 0],
    ] {
        let request = json!({"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES",
            "parameters": {"binary_data_size": tensor.len()}}]});
        send_binary(&mut client, &request, tensor);
        assert_eq!(client.recv().status, 400, "{tensor:?}");
    }
}

#[test]
fn queries_without_an_output_are_errors_with_the_reason() {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy_for(&frontend, "floats", 1, Duration::from_millis(30));
    let mut client = client(&frontend);
    let request = json!({"inputs": [
        {"name": "input", "shape": [1, 1], "datatype": "FP32", "data": [1]},
    ]});
    let request = request.to_string();
    let response = client.post("/v2/models/app/infer", &request);
    assert_eq!(error(&response), (503, "no replica connected".into()));
    let _silent = replica(&frontend, DataType::Floats);
    let response = client.post("/v2/models/app/infer", &request);
    assert_eq!(error(&response), (504, "timed out at the replica".into()));
    let app = r#"{"name":"b","input_type":"floats","default_output":"1","latency_slo_micros":1}"#;
    assert_eq!(admin(&frontend, "add_app", app).0, 200);
    let response = client.post("/v2/models/b/infer", &request);
    let text = "no model is linked to the application 'b'";
    assert_eq!(error(&response), (404, text.into()));
}

#[test]
fn outputs_of_different_lengths_are_an_error() {
    let frontend = start("floats");
    let mut replica = replica(&frontend, DataType::Floats);
    let mut client = client(&frontend);
    let request = json!({"inputs": [
        {"name": "input", "shape": [2, 1], "datatype": "FP32", "data": [1, 2]},
    ]});
    client.send_request(
        "POST /v2/models/app/infer",
        &[],
        request.to_string().as_bytes(),
    );
    let mut width = 0;
    while width < 2 {
        let request = replica.recv_request();
        let count = testkit::inputs(&request).len();
        let outputs = (0..count).map(|index| Ok(Output::Floats(vec![0.0; width + index + 1])));
        replica.reply(&request, DataType::Floats, outputs.collect());
        width += count;
    }
    let text = "the model's outputs have different lengths: send one row per request";
    assert_eq!(error(&client.recv()), (500, text.into()));
}
