//! Files: artifacts, pictures and results.

use std::{fs, io::Cursor, path::Path};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use onnx::{
    Dimension, DimensionProto, FLOAT, GraphProto, Message, ModelProto, NodeProto,
    OperatorSetIdProto, ShapeProto, TensorProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use serde_json::{Value, json};

use crate::{Seeds, with_truncated};

/// The first byte is 0 for ONNX files and 1 for metadata.
pub(crate) fn artifacts() -> Seeds {
    let port = |name: &str, sizes: &[i64]| {
        let size = |size: &i64| DimensionProto {
            value: (*size >= 0).then_some(Dimension::Size(*size)),
        };
        let dim = sizes.iter().map(size).collect();
        let tensor_type = TensorTypeProto {
            elem_type: FLOAT,
            shape: Some(ShapeProto { dim }),
        };
        ValueInfoProto {
            name: name.into(),
            r#type: Some(TypeProto {
                tensor_type: Some(tensor_type),
            }),
        }
    };
    let file = |sizes: &[i64]| {
        let graph = GraphProto {
            name: "g".into(),
            node: vec![NodeProto {
                input: vec!["images".into(), "w".into()],
                output: vec!["features".into()],
                op_type: "Conv".into(),
                ..NodeProto::default()
            }],
            initializer: vec![TensorProto {
                dims: vec![1, 3, 1, 1],
                data_type: FLOAT,
                name: "w".into(),
                raw_data: vec![0; 12].into(),
                ..TensorProto::default()
            }],
            input: vec![port("images", sizes)],
            output: vec![port("features", &[-1, 4096])],
        };
        let model = ModelProto {
            ir_version: 8,
            producer_name: "xtask".into(),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 17,
            }],
        };
        [&[0], &model.encode_to_vec()[..]].concat()
    };
    let mut seeds = with_truncated("nchw", file(&[-1, 3, 224, 224]));
    seeds.push(("nhwc".into(), file(&[1, -1, -1, 3])));
    seeds.push(("huge".into(), file(&[-1, 3, i64::MAX, i64::MAX])));
    let metadata = br#"{"file":"my.onnx","provenance":"trained","trained":true,"classes":["a","b"],"accuracy":{"right":9,"of":10},"network":{"output":"features","layout":"NHWC","size":[32,32],"resize":40,"mean":[0.5,0.5,0.5],"std":[0.25,0.25,1e0]}}"#;
    seeds.extend(with_truncated("metadata", [&[1], &metadata[..]].concat()));
    seeds
}

/// The smallest safetensors files with two labels.
pub(crate) fn svm() -> Seeds {
    let mut header = json!({"__metadata__": {"labels": r#"["cat","dog"]"#}});
    let mut values = 0;
    for (name, shape) in [
        ("pca.points", vec![2, 2]),
        ("pca.weights", vec![2, 1]),
        ("pca.offsets", vec![1]),
        ("pca.gamma", vec![2]),
        ("svm.points", vec![2, 1]),
        ("svm.weights", vec![2, 1]),
        ("svm.offsets", vec![1]),
        ("svm.gamma", vec![1]),
    ] {
        let length: usize = shape.iter().product();
        let ends = [4 * values, 4 * (values + length)];
        header[name] = json!({"dtype": "F32", "shape": shape, "data_offsets": ends});
        values += length;
    }
    let file = |header: &Value| {
        let header = header.to_string();
        let length = (header.len() as u64).to_le_bytes();
        let values = 0.5_f32.to_le_bytes().repeat(values);
        [&length[..], header.as_bytes(), &values[..]].concat()
    };
    let mut seeds = with_truncated("two_labels", file(&header));
    header["svm.points"]["shape"] = json!([u64::MAX, u64::MAX]);
    seeds.push(("huge".into(), file(&header)));
    seeds
}

/// Models of lgbm's tests, without the lines after the trees.
pub(crate) fn lgbm() -> Seeds {
    let tests = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../containers/lgbm/tests/models"
    );
    let mut seeds = Seeds::new();
    for name in [
        "one_leaf",
        "binary",
        "categorical_onehot",
        "linear_tree_categorical",
        "saved_by_2.0.12",
    ] {
        let file = Path::new(tests).join(name).with_added_extension("txt");
        let text = fs::read_to_string(file).expect("the models of lgbm's tests exist");
        let end = text.find("end of trees\n").map(|at| at + 13);
        let text = &text[..end.unwrap_or(text.len())];
        seeds.push((name.to_owned(), text.into()));
    }
    let half = seeds[0].1.len() / 2;
    seeds.push(("cut".into(), seeds[0].1[..half].to_vec()));
    seeds
}

/// The first byte holds flags: bit 0 is the layout, bit 1 resizes without cropping, bit 2 marks
/// data that the target does not encode as base64.
pub(crate) fn pictures() -> Seeds {
    let colours = RgbImage::from_fn(13, 9, |x, y| Rgb([x as u8 * 19, y as u8 * 28, 7]));
    let colours = DynamicImage::from(colours);
    let mut seeds = Seeds::new();
    let pictures = [
        ("rgb", colours.clone(), ImageFormat::Png),
        (
            "grey_alpha",
            colours.to_luma_alpha8().into(),
            ImageFormat::Png,
        ),
        ("rgb16", colours.to_rgb16().into(), ImageFormat::Png),
        ("rgb", colours.clone(), ImageFormat::Jpeg),
        ("grey", colours.to_luma8().into(), ImageFormat::Jpeg),
    ];
    for (mode, (name, picture, format)) in (0_u8..).zip(pictures) {
        let mut file = Cursor::new(Vec::new());
        let written = picture.write_to(&mut file, format);
        written.expect("the picture is encoded in memory");
        let file = file.into_inner();
        let name = format!("{name}.{}", format.extensions_str()[0]);
        if format == ImageFormat::Png && mode == 0 {
            // Width and height are in bytes 16 to 23.
            let mut oversized = file.clone();
            oversized[16..24].copy_from_slice(&[0, 0, 0x30, 0, 0, 0, 0x30, 0]);
            seeds.push((format!("{name}_lying"), [&[mode], &oversized[..]].concat()));
        }
        seeds.extend(with_truncated(&name, [&[mode % 4], &file[..]].concat()));
    }
    seeds.push(("base64".into(), b"\x04aGVsbG8=".to_vec()));
    seeds
}

/// A trial of this driver and one of the original driver.
pub(crate) fn results() -> Seeds {
    let totals = json!({"sent": 1000, "ok": 1000, "default": 0, "timeout": 0, "error": 0, "cancelled": 0, "seconds": 5.0});
    let percentile = json!({"quantile": 0.99, "value": 138.0, "low": 137.0, "high": 139.0});
    let phase = json!({
        "kind": "throughput", "arrivals": {"closed": {"in_flight": 24}}, "opened_seconds": 1.0, "warm_up": totals,
        "totals": totals, "steady": true, "throughput": {"value": 200.0, "low": 195.0, "high": 205.0},
        "latency": {
            "samples": 1000, "mean": 120.0, "min": 100.0, "max": 140.0, "percentiles": [percentile],
            "histogram": [[100_000, 100], [120_000, 900]]
        },
        "mean_in_flight": 24.0, "mean_batch": 4.0, "batches": 250.0,
        "time_breakdown": {"queued": 60e3, "away": 59e3, "waited": 29e3, "predicting": 29e3, "replying": 10.0},
        "windows": [{"begins": 0.0, "seconds": 0.5, "ok": 100, "mean_ms": 120.0, "p99_ms": 138.0}]
    });
    let clients = json!({"thrus": [200.0], "p99_lats": [0.138], "mean_lats": [0.12]});
    let mut trial = json!({
        "format": 2, "round": 1, "verdict": {"status": "VALID", "reasons": []},
        "node_configs": [{
            "name": "noop", "input_type": "floats", "model_image": "noop", "allocated_cpus": [0, 1], "cpus_per_replica": 1,
            "slo": 3_600_000_000_u64, "num_replicas": 2, "gpus": [], "batch_size": 4
        }],
        "clipper_metrics": {}, "mode": "saturate", "client_metrics": clients, "throughput_qps": 200.0, "phases": [phase],
        "totals": totals, "replicas": [{
            "model_name": "noop", "model_version": "1", "replica_id": 0, "input_type": "floats", "batches": 200,
            "queries": 800, "pid": 100, "cores": "0"
        }],
        "replicas_died": 0, "replicas_lost": 0, "pinning": "each replica has its own",
        "driver": {
            "cores": {"driver": "3", "frontend": "2"}, "num_clients": 1, "in_flight": 24, "seed": 1, "inputs": "",
            "duration_seconds": 10.0, "command_line": "driver"
        },
        "machine": {"cpu": "", "cores": 4, "allowed_cores": "0-3", "memory_mib": 1, "kernel": ""},
        "versions": {"driver": "0", "profile": "release"}
    });
    let mut seeds = with_truncated("point", trial.to_string().into());
    let keys = trial.as_object_mut().expect("a trial is an object");
    keys.retain(|key, _| {
        !["mode", "client_metrics", "throughput_qps", "phases"].contains(&key.as_str())
    });
    keys.insert("not_run".into(), json!("there is no GPU"));
    seeds.push(("not_run".into(), trial.to_string().into()));
    let original = json!({
        "node_configs": [{"request_delay": 0.012}, {
            "name": "lgbm", "num_replicas": 2, "cpus_per_replica": 1, "batch_size": 8, "model_image": "model-comp/x",
            "input_type": "floats", "allocated_cpus": [14], "gpus": [], "slo": 500_000
        }],
        "client_metrics": [{"thrus": [100.0, 100.0, 400.0], "p99_lats": [1.0, null, 3.0], "mean_lats": [1.0, 2.0, 3.0]}],
        "clipper_metrics": {
            "histograms": [{"model:lgbm:1:batch_size": {"mean": "4.96"}}],
            "counters": [{"app:lgbm:num_predictions": {"count": "150"}}]
        }
    });
    seeds.extend(with_truncated("original", original.to_string().into()));
    seeds
}
