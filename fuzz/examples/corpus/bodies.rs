//! Bodies of HTTP requests, and outputs for answers.

use fuzz::{Frames, joined};
use model::{DataType, Output};
use wire::admin::ENDPOINTS;

use crate::{Seeds, with_truncated};

/// The first byte is the application's type, plus 5 for outputs to encode.
pub(crate) fn predict() -> Seeds {
    let texts = [
        (
            DataType::Floats,
            r#" {"input" : [ 1.5 , -2e0,0.1,3.4028235e38,1e-45] } "#,
        ),
        (
            DataType::Floats,
            r#"{"input_batch":[[1.0],[]],"version":"1"}"#,
        ),
        (DataType::Floats, r#"{"uid":0,"input":[1.0],"label":1.0}"#),
        (
            DataType::Floats,
            r#"{"input":[1.0,1e39,null,{"a":[true,false]}]}"#,
        ),
        (
            DataType::Doubles,
            r#"{"input_batch":[[0.1,1E-3],[123456789012345678901234567890.5]]}"#,
        ),
        (
            DataType::Ints,
            r#"{"input":[-1,2147483647,-0],"input_batch":7}"#,
        ),
        (
            DataType::Strings,
            r#"{"input_batch":["a\"\u00e4\ud83d\ude00\n",""]}"#,
        ),
        (DataType::Strings, "{\"input\":\"caf\u{e9}\",\"input\":1}"),
        (DataType::Bytes, r#"{"input":"AP8="}"#),
        (DataType::Bytes, r#"{"input_batch":["AP8=","*"]}"#),
    ];
    let mut seeds = Seeds::new();
    for (index, (data_type, text)) in texts.into_iter().enumerate() {
        let bytes = [&[data_type as u8], text.as_bytes()].concat();
        seeds.extend(with_truncated(&format!("predict_{index}"), bytes));
    }
    for output in [
        Output::Bytes(vec![0, 255]),
        Output::Ints(vec![-1, 7]),
        Output::Floats(vec![1.0, 3e-5, 1e16, 1.5e-9, f32::NAN]),
        Output::Doubles(vec![0.1, 1e15, f64::INFINITY]),
        Output::Text(r#" [1.50, 2e20, {"a": null}]"#.into()),
    ] {
        let mut bytes = Vec::new();
        output.write_to(&mut bytes);
        let data_type = output.data_type();
        let outputs: Frames = vec![bytes.clone(), Vec::new(), bytes];
        let bytes = [&[5 + data_type as u8], &joined(&outputs)[..]].concat();
        seeds.push((format!("outputs_{data_type}"), bytes));
    }
    let deep = [&[0], "[".repeat(300).as_bytes()].concat();
    seeds.push(("deep".into(), deep));
    seeds
}

/// The first byte is the type, plus 5 with a header of the JSON's length; two bytes hold that
/// length.
pub(crate) fn infer() -> Seeds {
    let mut seeds = Seeds::new();
    let mut add = |name: &str, data_type: DataType, json: &str, binary: &[u8]| {
        let mode = data_type as u8 + if binary.is_empty() { 0 } else { 5 };
        let [low, high] = (json.len() as u16).to_le_bytes();
        let bytes = [&[mode, low, high], json.as_bytes(), binary].concat();
        seeds.extend(with_truncated(name, bytes));
    };
    let json = r#"{"id":"7","inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[[1,2.5],[-3,4e1]]}],"outputs":[{"name":"output","parameters":{"binary_data":true}}]}"#;
    add("json_fp32", DataType::Floats, json, b"");
    let json = r#"{"inputs":[{"name":"x","shape":[3],"datatype":"UINT8","data":[0,7,255]}],"parameters":{"binary_data_output":false}}"#;
    add("json_uint8", DataType::Bytes, json, b"");
    let json =
        r#"{"inputs":[{"name":"x","shape":[2,1],"datatype":"BYTES","data":["a","\u00e4"]}]}"#;
    add("json_bytes", DataType::Strings, json, b"");
    let json = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP64","parameters":{"binary_data_size":16}}]}"#;
    add("binary_fp64", DataType::Doubles, json, &[0; 16]);
    let json = r#"{"inputs":[{"name":"x","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}}]}"#;
    add(
        "binary_bytes",
        DataType::Strings,
        json,
        b"\x01\0\0\0a\x02\0\0\0bc",
    );
    let json = r#"{"inputs":[{"name":"x","shape":[18446744073709551615,18446744073709551615],"datatype":"INT32","parameters":{"binary_data_size":4}}]}"#;
    add("binary_lying", DataType::Ints, json, &[0; 4]);
    seeds
}

/// The first byte is the index of the endpoint.
pub(crate) fn admin() -> Seeds {
    let all = r#"{"name":"a","app_name":"a","input_type":"doubles","default_output":"-1.0","latency_slo_micros":500000,"model_name":"m","model_version":"1","labels":["x"],"container_name":"c","model_data_path":"/m","batch_size":-1,"model_names":["m"],"verbose":true,"replica_id":0,"uid":0}"#;
    let odd = r#"{"model_name":1,"model_name":"m","labels":[1],"verbose":0,"replica_id":2147483648,"uid":-1e0,"name":"\ud83d\ude00"}"#;
    let mut seeds = Seeds::new();
    for (index, endpoint) in (0_u8..).zip(&ENDPOINTS) {
        let bytes = [&[index], all.as_bytes()].concat();
        seeds.push((endpoint.name.to_owned(), bytes));
    }
    seeds.extend(with_truncated("odd", [&[4], odd.as_bytes()].concat()));
    seeds
}
