//! The Open Inference Protocol checks requests against the shape that a model declares.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use frontend::Frontend;
use model::{DataType, ModelInfo, Output};
use serde_json::{Value, json};
use testkit::{HttpClient, HttpResponse, Peer, admin, deploy_for, registration, settings};
use wire::rpc::{FromContainer, FromFrontend, NewContainer};

const HOUR: Duration = Duration::from_secs(3600);
const INFER: &str = "/v2/models/app/infer";

fn start(input_type: &str) -> (Frontend, HttpClient) {
    let frontend = Frontend::start(&settings()).unwrap();
    deploy_for(&frontend, input_type, 8, HOUR);
    let client = HttpClient::connect(frontend.ports().query_port);
    (frontend, client)
}

/// Returns the registration of a model server that declares the shape of its inputs.
fn registration_with_shape(version: &str, input_type: DataType, shape: &[usize]) -> NewContainer {
    let mut new = registration(version, input_type, 2);
    new.metadata.as_mut().unwrap().model = ModelInfo {
        output_type: DataType::Floats,
        input_shape: shape.to_vec(),
        ..ModelInfo::default()
    };
    new
}

fn replica(frontend: &Frontend, new: &NewContainer) -> Peer {
    let mut peer = Peer::connect(frontend.ports().rpc_service_port);
    peer.register(new);
    peer
}

/// Registers a model server, and returns the reason of its refusal.
fn refusal(frontend: &Frontend, new: &NewContainer) -> String {
    let mut peer = Peer::connect(frontend.ports().rpc_service_port);
    peer.send_with(FromContainer::encode_heartbeat);
    peer.recv();
    peer.send_with(|frames| new.encode(frames));
    match FromFrontend::decode(&peer.recv()) {
        Ok(FromFrontend::Refused(reason)) => reason.to_owned(),
        other => panic!("{other:?}"),
    }
}

fn request(shape: &[usize], datatype: &str, data: &Value) -> String {
    let tensor = json!({"name": "input", "shape": shape, "datatype": datatype, "data": data});
    json!({ "inputs": [tensor] }).to_string()
}

/// Sends the same request with a binary tensor after the JSON.
fn send_binary(client: &mut HttpClient, shape: &[usize], datatype: &str, tensor: &[u8]) {
    let json = json!({"inputs": [{"name": "input", "shape": shape, "datatype": datatype,
        "parameters": {"binary_data_size": tensor.len()}}]});
    let json = json.to_string();
    let length = json.len().to_string();
    let headers = [("Inference-Header-Content-Length", length.as_str())];
    let body = [json.as_bytes(), tensor].concat();
    client.send_request(&format!("POST {INFER}"), &headers, &body);
}

fn error(response: &HttpResponse) -> (u16, String) {
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    let text = body["error"].as_str();
    (response.status, text.unwrap_or_default().to_owned())
}

/// Serves until `count` inputs are answered, and returns them.
fn serve(replica: &mut Peer, count: usize) -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    while inputs.len() < count {
        inputs.extend(replica.serve(&Output::Floats(vec![0.5])));
    }
    inputs
}

fn declared_shape(client: &mut HttpClient, path: &str) -> Value {
    let metadata: Value = serde_json::from_slice(&client.get(path).body).unwrap();
    metadata["inputs"][0]["shape"].clone()
}

#[test]
fn tensors_of_an_undeclared_shape_are_refused() {
    let (frontend, mut client) = start("floats");
    let mut replica = replica(
        &frontend,
        &registration_with_shape("1", DataType::Floats, &[32, 32, 3]),
    );
    let declared = declared_shape(&mut client, "/v2/models/app");
    assert_eq!(declared, json!([-1, 32, 32, 3]));
    let data = json!(vec![1.0; 3072]);
    for shape in [
        &[1, 3, 32, 32][..],
        &[1, 1, 3072, 1],
        &[1, 3072],
        &[32, 32, 3],
        &[1, 32, 32, 3, 1],
        &[3072],
        &[3, 32, 32, 1],
        &[2, 32, 16, 3],
    ] {
        let expected = format!("the model takes the shape [-1, 32, 32, 3], not {shape:?}");
        let response = client.post(INFER, &request(shape, "FP32", &data));
        assert_eq!(error(&response), (400, expected.clone()));
        send_binary(&mut client, shape, "FP32", &[0; 4 * 3072]);
        assert_eq!(error(&client.recv()), (400, expected), "binary");
    }
    for shape in [[1, 32, 32, 3], [2, 32, 32, 3]] {
        let elements = shape.iter().product();
        let data = json!(vec![1.0; elements]);
        let body = request(&shape, "FP32", &data);
        client.send_request(&format!("POST {INFER}"), &[], body.as_bytes());
        let inputs = serve(&mut replica, shape[0]);
        assert!(inputs.iter().all(|input| input.len() == 4 * 3072));
        assert_eq!(client.recv().status, 200);
        send_binary(&mut client, &shape, "FP32", &vec![0; 4 * elements]);
        serve(&mut replica, shape[0]);
        assert_eq!(client.recv().status, 200, "binary");
    }
}

#[test]
fn nested_data_must_match_the_shape() {
    let (frontend, mut client) = start("floats");
    let mut replica = replica(
        &frontend,
        &registration_with_shape("1", DataType::Floats, &[2, 3]),
    );
    let ragged = "data's lists are of different lengths or depths";
    for (data, text) in [
        (
            json!([[[1, 2], [3, 4], [5, 6]]]),
            "data are nested as [1, 3, 2], and the shape is [1, 2, 3]",
        ),
        (
            json!([[1, 2, 3], [4, 5, 6]]),
            "data are nested as [2, 3], and the shape is [1, 2, 3]",
        ),
        (
            json!([[[[1, 2, 3], [4, 5, 6]]]]),
            "data are nested as [1, 1, 2, 3], and the shape is [1, 2, 3]",
        ),
        (json!([[[1, 2, 3, 4], [5, 6]]]), ragged),
        (json!([[[1, 2, 3], 4, 5, 6]]), ragged),
        (json!([1, 2, [3, 4, 5, 6]]), ragged),
        (json!([1, 2, 3, 4, 5]), "there are 5 elements, not 6"),
        (json!(7), "data must be a list"),
    ] {
        let response = client.post(INFER, &request(&[1, 2, 3], "FP32", &data));
        assert_eq!(error(&response), (400, text.to_owned()), "{data}");
    }
    for data in [json!([[[1, 2, 3], [4, 5, 6]]]), json!([1, 2, 3, 4, 5, 6])] {
        let body = request(&[1, 2, 3], "FP32", &data);
        client.send_request(&format!("POST {INFER}"), &[], body.as_bytes());
        let values = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(
            serve(&mut replica, 1),
            [values.map(f32::to_le_bytes).concat()]
        );
        assert_eq!(client.recv().status, 200, "{data}");
    }
}

#[test]
fn texts_and_bytes_have_one_element_per_row() {
    let (frontend, mut client) = start("strings");
    let mut texts = replica(
        &frontend,
        &registration_with_shape("1", DataType::Strings, &[]),
    );
    assert_eq!(
        declared_shape(&mut client, "/v2/models/app"),
        json!([-1, 1])
    );
    for shape in [&[2][..], &[2, 1, 1]] {
        let expected = format!("the model takes the shape [-1, 1], not {shape:?}");
        let response = client.post(INFER, &request(shape, "BYTES", &json!(["a", "b"])));
        assert_eq!(error(&response), (400, expected));
    }
    for data in [json!(["a", "b"]), json!([["a"], ["b"]])] {
        let body = request(&[2, 1], "BYTES", &data);
        client.send_request(&format!("POST {INFER}"), &[], body.as_bytes());
        assert_eq!(serve(&mut texts, 2), [b"a", b"b"]);
        assert_eq!(client.recv().status, 200);
    }

    let (frontend, mut client) = start("bytes");
    let mut bytes = replica(
        &frontend,
        &registration_with_shape("1", DataType::Bytes, &[4]),
    );
    let expected = "the model takes the shape [-1, 4], and an element of BYTES has 3 bytes";
    let response = client.post(INFER, &request(&[2, 1], "BYTES", &json!(["abcd", "abc"])));
    assert_eq!(error(&response), (400, expected.to_owned()));
    send_binary(&mut client, &[1, 1], "BYTES", b"\x03\0\0\0abc");
    assert_eq!(error(&client.recv()), (400, expected.to_owned()));
    let response = client.post(INFER, &request(&[1], "BYTES", &json!(["abcd"])));
    let expected = "the model takes the shape [-1, 1], not [1]";
    assert_eq!(error(&response), (400, expected.to_owned()));
    let body = request(&[1, 1], "BYTES", &json!(["abcd"]));
    client.send_request(&format!("POST {INFER}"), &[], body.as_bytes());
    assert_eq!(serve(&mut bytes, 1), [b"abcd"]);
    assert_eq!(client.recv().status, 200);
}

#[test]
fn models_without_a_shape_accept_rows_of_any_length() {
    let (frontend, mut client) = start("floats");
    let mut replica = replica(
        &frontend,
        &registration_with_shape("1", DataType::Floats, &[]),
    );
    for width in [1, 7] {
        let body = request(&[1, width], "FP32", &json!(vec![1.0; width]));
        client.send_request(&format!("POST {INFER}"), &[], body.as_bytes());
        assert_eq!(serve(&mut replica, 1)[0].len(), 4 * width);
        assert_eq!(client.recv().status, 200);
    }
    let response = client.post(INFER, &request(&[1, 2, 3], "FP32", &json!(vec![1.0; 6])));
    let expected = "the model takes the shape [-1, -1], not [1, 2, 3]";
    assert_eq!(error(&response), (400, expected.to_owned()));
}

#[test]
fn any_shape_is_accepted_before_the_first_replica() {
    let (frontend, mut client) = start("floats");
    assert_eq!(
        declared_shape(&mut client, "/v2/models/app"),
        json!([-1, -1])
    );
    let body = request(&[1, 2, 3], "FP32", &json!(vec![1.0; 6]));
    let expected = (503, "no replica connected".to_owned());
    assert_eq!(error(&client.post(INFER, &body)), expected);
    let replica = replica(
        &frontend,
        &registration_with_shape("1", DataType::Floats, &[2, 3]),
    );
    drop(replica);
    testkit::wait_until("the replica is removed", || {
        (!testkit::replicas(&frontend).contains("replica_id")).then_some(())
    });
    // The declared shape remains.
    assert_eq!(error(&client.post(INFER, &body)), expected);
    let body = request(&[1, 6], "FP32", &json!(vec![1.0; 6]));
    assert_eq!(client.post(INFER, &body).status, 400);
}

#[test]
fn replicas_of_one_version_cannot_declare_different_shapes() {
    let (frontend, mut client) = start("floats");
    let first = replica(
        &frontend,
        &registration_with_shape("1", DataType::Floats, &[2, 3]),
    );
    let reason = refusal(
        &frontend,
        &registration_with_shape("1", DataType::Floats, &[6]),
    );
    assert_eq!(
        reason,
        "the replicas of m:1 take inputs of the shape [2, 3], not [6]: register it as another version"
    );
    let _silent = replica(
        &frontend,
        &registration_with_shape("1", DataType::Floats, &[]),
    );
    let _same = replica(
        &frontend,
        &registration_with_shape("1", DataType::Floats, &[2, 3]),
    );
    assert_eq!(
        declared_shape(&mut client, "/v2/models/app"),
        json!([-1, 2, 3])
    );
    drop((first, _silent, _same));
    testkit::wait_until("the replicas are removed", || {
        (!testkit::replicas(&frontend).contains("replica_id")).then_some(())
    });
    assert_eq!(
        declared_shape(&mut client, "/v2/models/app"),
        json!([-1, 2, 3])
    );
    let _other = replica(
        &frontend,
        &registration_with_shape("1", DataType::Floats, &[6]),
    );
    assert_eq!(
        declared_shape(&mut client, "/v2/models/app"),
        json!([-1, 6])
    );
}

#[test]
fn each_version_is_checked_against_its_own_shape() {
    let (frontend, mut client) = start("floats");
    let second = r#"{"model_name":"m","model_version":"2","labels":[],"input_type":"floats","container_name":"","model_data_path":"","batch_size":8}"#;
    assert_eq!(admin(&frontend, "add_model", second).0, 200);
    let mut replicas = [("1", &[2, 3][..]), ("2", &[6])].map(|(version, shape)| {
        let new = registration_with_shape(version, DataType::Floats, shape);
        (version, replica(&frontend, &new))
    });
    let data = json!(vec![1.0; 6]);
    for ((version, replica), (right, wrong, declared)) in replicas.iter_mut().zip([
        (&[1, 2, 3][..], &[1, 6][..], "[-1, 2, 3]"),
        (&[1, 6], &[1, 2, 3], "[-1, 6]"),
    ]) {
        let path = format!("/v2/models/m/versions/{version}");
        let response = client.post(&format!("{path}/infer"), &request(wrong, "FP32", &data));
        let expected = format!("the model takes the shape {declared}, not {wrong:?}");
        assert_eq!(error(&response), (400, expected));
        let body = request(right, "FP32", &data);
        client.send_request(&format!("POST {path}/infer"), &[], body.as_bytes());
        serve(replica, 1);
        assert_eq!(client.recv().status, 200);
    }
}
