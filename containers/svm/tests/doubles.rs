//! Features that float32 cannot hold, such as times in seconds. With doubles the labels equal
//! scikit-learn's, in process and through a real frontend; with floats the server warns.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use frontend::Frontend;
use model::{Batch, DataType, InputError, Model, Output, Predictions};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use svm::{Settings, Svm};
use testkit::{HttpClient, ModelServer, Rpc, deploy_for, settings};

/// Class names, in scikit-learn's order.
const NAMES: [&str; 3] = ["ash", "elm", "oak"];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

fn load(path: &Path, doubles: bool) -> Result<Svm, svm::Error> {
    let settings = Settings {
        threads: 2,
        doubles,
        ..Settings::default()
    };
    Svm::load(path, settings)
}

/// Returns new points, each a time and another number, and scikit-learn's labels (`reference.py`).
fn reference() -> (Vec<[f64; 2]>, Vec<&'static str>) {
    let bytes = fs::read(file("doubles.safetensors")).unwrap();
    let arrays = SafeTensors::deserialize(&bytes).unwrap();
    let points = arrays.tensor("points").unwrap();
    let (numbers, _) = points.data().as_chunks::<8>();
    let numbers: Vec<f64> = numbers.iter().map(|raw| f64::from_le_bytes(*raw)).collect();
    let labels = arrays.tensor("labels").unwrap();
    let labels = labels.data().iter().map(|&class| NAMES[usize::from(class)]);
    (numbers.as_chunks().0.to_vec(), labels.collect())
}

fn predict(model: &mut Svm, data_type: DataType, inputs: &[Vec<u8>]) -> Predictions {
    let batch = Batch {
        data_type,
        inputs: inputs.iter().map(Vec::as_slice).collect(),
    };
    model.predict(&batch).unwrap()
}

/// Returns the number of answers that equal these labels.
fn agreement(answers: &Predictions, labels: &[&str]) -> usize {
    assert_eq!(answers.len(), labels.len());
    let pairs = answers.iter().zip(labels);
    let equal = pairs.filter(|(answer, label)| **answer == Ok(Output::Text((**label).into())));
    equal.count()
}

#[test]
fn only_doubles_match_scikit_learns_labels_of_times() {
    let (points, labels) = reference();
    let path = file("exported_doubles.safetensors");
    let mut model = load(&path, true).unwrap();
    assert_eq!(model.info().input_shape, [2]);
    assert_eq!(model.float32_loss(), None);
    let doubles: Vec<_> = points
        .iter()
        .map(|point| point.map(f64::to_le_bytes).concat())
        .collect();
    let answers = predict(&mut model, DataType::Doubles, &doubles);
    assert_eq!(agreement(&answers, &labels), labels.len());

    let mut model = load(&path, false).unwrap();
    let loss = model.float32_loss().unwrap().to_owned();
    assert!(
        loss.starts_with("float32 moves training point 0 by "),
        "{loss}"
    );
    let floats: Vec<_> = points
        .iter()
        .map(|point| point.map(|value| (value as f32).to_le_bytes()).concat())
        .collect();
    let answers = predict(&mut model, DataType::Floats, &floats);
    assert!(agreement(&answers, &labels) < labels.len());
}

#[test]
fn float32_artifacts_serve_doubles_without_a_warning() {
    for name in ["exported.safetensors", "exported_binary.safetensors"] {
        let model = load(&file(name), false).unwrap();
        assert_eq!(model.float32_loss(), None);
        let mut model = load(&file(name), true).unwrap();
        let width = model.info().input_shape[0];
        let input = 500.0_f64.to_le_bytes().repeat(width);
        let answers = predict(&mut model, DataType::Doubles, &[input, vec![0; 4 * width]]);
        assert!(answers[0].is_ok(), "{name}: {answers:?}");
        let reason = format!(
            "an input must be {width} doubles ({} bytes), this one has {} bytes",
            8 * width,
            4 * width
        );
        assert_eq!(answers[1], Err(InputError(reason)));
    }
}

#[test]
fn errors_name_the_value_whose_square_overflows() {
    let mut model = load(&file("exported_doubles.safetensors"), true).unwrap();
    let inputs = [[1e200, 0.0], [0.0, f64::NAN], [1.7e9, 1e30]]
        .map(|row| row.map(f64::to_le_bytes).concat());
    let answers = predict(&mut model, DataType::Doubles, &inputs);
    let reason = |index: usize| answers[index].clone().unwrap_err().0;
    assert!(reason(0).starts_with("value 0 is 1000000"), "{}", reason(0));
    assert!(
        reason(0).ends_with("the sum of their squares within float64"),
        "{}",
        reason(0)
    );
    assert!(reason(1).starts_with("value 1 is NaN"), "{}", reason(1));
    assert!(answers[2].is_ok(), "its square is within float64");
}

/// Returns the artifact with an array's first number replaced.
fn with_number(array: &str, number: f64) -> Vec<u8> {
    let whole = fs::read(file("exported_doubles.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&whole).unwrap();
    let arrays = SafeTensors::deserialize(&whole).unwrap().tensors();
    let mut changed: HashMap<String, (Vec<usize>, Vec<u8>)> = arrays
        .into_iter()
        .map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec())))
        .collect();
    changed.get_mut(array).unwrap().1[..8].copy_from_slice(&number.to_le_bytes());
    let views = changed.iter().map(|(name, (shape, bytes))| {
        let view = TensorView::new(Dtype::F64, shape.clone(), bytes);
        (name, view.unwrap())
    });
    safetensors::serialize(views, metadata.metadata().clone()).unwrap()
}

#[test]
fn artifacts_beyond_float32_need_double_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("svm.safetensors");
    for (array, number) in [
        ("pca.points", 1e39),
        ("pca.weights", -1e39),
        ("svm.offsets", 1e300),
        ("pca.gamma", 1e-50),
    ] {
        fs::write(&path, with_number(array, number)).unwrap();
        let error = load(&path, false).err().unwrap().to_string();
        let expected = format!(
            "{array} has values that float32 cannot hold: serve it with CLIPPER_INPUT_TYPE=doubles"
        );
        assert!(error.ends_with(&expected), "{error}");
        assert!(load(&path, true).is_ok(), "{array}");
    }
}

#[test]
fn doubles_reach_the_model_through_a_frontend() {
    let (points, labels) = reference();
    for rpc in Rpc::ALL {
        let frontend = Frontend::start(&settings()).unwrap();
        deploy_for(&frontend, "doubles", 8, Duration::from_secs(3600));
        let program = env!("CARGO_BIN_EXE_svm");
        let path = file("exported_doubles.safetensors");
        let _server = ModelServer::start(program, &frontend, rpc, |command| {
            command
                .env("CLIPPER_MODEL_PATH", path)
                .env("CLIPPER_INPUT_TYPE", "doubles")
        });
        let mut client = HttpClient::connect(frontend.ports().query_port);
        let response = client.post(
            "/app/predict",
            &json!({ "input_batch": points }).to_string(),
        );
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        let answers = answer["batch_predictions"].as_array().unwrap().iter();
        let outputs: Vec<_> = answers
            .map(|answer| answer["output"].as_str().unwrap())
            .collect();
        assert_eq!(outputs, labels, "REST, {rpc:?}");
        let tensor = json!({"name": "input", "shape": [points.len(), 2], "datatype": "FP64", "data": points});
        let response = client.post(
            "/v2/models/app/infer",
            &json!({ "inputs": [tensor] }).to_string(),
        );
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(answer["outputs"][0]["data"], json!(labels), "OIP, {rpc:?}");
    }
}
