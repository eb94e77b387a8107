//! The model as used by its server: training, saving, loading and prediction.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use model::{Batch, DataType, Model, Output, Predictions};
use ndarray::{Array2, ArrayView2};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use safetensors::{SafeTensors, tensor::TensorView};
use svm::{Settings, Svm, Training};
use tempfile::TempDir;

const FEATURES: usize = 12;
const NAMES: [&str; 3] = ["grass", "gravel", "moon"];

/// Returns points far from zero, like features of real pictures, each near the corner of its class.
fn points(count: usize, seed: u64) -> (Array2<f32>, Vec<usize>) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let labels: Vec<_> = (0..count).map(|row| row % NAMES.len()).collect();
    let points = Array2::from_shape_fn((count, FEATURES), |(row, feature)| {
        let corner = if feature % 3 == labels[row] { 1.0 } else { 0.0 };
        1000.0 + corner + random.random_range(-0.3..0.3)
    });
    (points, labels)
}

/// Saves a trained artifact in a temporary folder.
fn artifact() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("svm.safetensors");
    let (features, labels) = points(90, 1);
    let training = Training {
        components: 8,
        ..Training::default()
    };
    let names = NAMES.map(str::to_owned);
    let trained = svm::train(features.view(), &labels, &names, &training).unwrap();
    trained.save(&path).unwrap();
    (folder, path)
}

fn load(path: &Path) -> Svm {
    let settings = Settings {
        threads: 2,
        ..Settings::default()
    };
    Svm::load(path, settings).unwrap()
}

fn bytes(points: ArrayView2<f32>) -> Vec<Vec<u8>> {
    let rows = points.rows().into_iter();
    rows.map(|row| row.iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect()
}

fn predict(model: &mut Svm, inputs: &[Vec<u8>]) -> Predictions {
    let batch = Batch {
        data_type: DataType::Floats,
        inputs: inputs.iter().map(Vec::as_slice).collect(),
    };
    model.predict(&batch).unwrap()
}

fn load_error(path: &Path) -> String {
    let error = Svm::load(path, Settings::default()).err();
    error.expect("loading fails").to_string()
}

#[test]
fn new_points_get_the_label_of_their_class() {
    let (_folder, path) = artifact();
    let mut model = load(&path);
    let (features, labels) = points(60, 2);
    let answers = predict(&mut model, &bytes(features.view()));
    for (answer, label) in answers.into_iter().zip(labels) {
        assert_eq!(answer, Ok(Output::Text(NAMES[label].into())));
    }
    let info = model.info();
    assert_eq!(info.input_shape, [FEATURES]);
    assert_eq!(info.output_type, DataType::Strings);
    assert_eq!(info.threads, 2);
}

#[test]
fn predictions_do_not_depend_on_the_batch() {
    let (_folder, path) = artifact();
    let mut model = load(&path);
    let inputs = bytes(points(31, 3).0.view());
    let together = predict(&mut model, &inputs);
    let alone: Predictions = inputs
        .iter()
        .flat_map(|input| predict(&mut model, std::slice::from_ref(input)))
        .collect();
    assert_eq!(together, alone);
    assert_eq!(predict(&mut model, &[]), []);
}

#[test]
fn an_invalid_input_fails_alone() {
    let (_folder, path) = artifact();
    let mut model = load(&path);
    let mut features = points(6, 4).0;
    features[[1, 3]] = f32::NAN;
    features[[2, 0]] = f32::NEG_INFINITY;
    features[[3, 5]] = 1e30;
    let mut inputs = bytes(features.view());
    inputs[4].pop();

    let answers = predict(&mut model, &inputs);
    assert_eq!(answers[0], Ok(Output::Text("grass".into())));
    assert_eq!(answers[5], Ok(Output::Text("moon".into())));
    let reason = |index: usize| answers[index].clone().unwrap_err().0;
    assert!(reason(1).starts_with("value 3 is NaN"), "{}", reason(1));
    assert!(reason(2).starts_with("value 0 is -inf"), "{}", reason(2));
    assert!(reason(3).starts_with("value 5 is 1"), "{}", reason(3));
    assert!(reason(4).contains("must be 12 floats (48 bytes), this one has 47"));
}

#[test]
fn a_missing_artifact_is_reported_with_its_make_command() {
    let error = load_error(Path::new("nowhere/svm.safetensors"));
    for part in [
        "nowhere/svm.safetensors",
        "xtask -- artifacts",
        "CLIPPER_MODEL_PATH",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn files_of_other_formats_are_rejected() {
    let (folder, path) = artifact();
    let whole = std::fs::read(&path).unwrap();
    let broken = folder.path().join("broken");
    for bytes in [
        &b"not a model"[..],
        &[],
        &whole[..whole.len() - 4],
        &whole[..100],
    ] {
        std::fs::write(&broken, bytes).unwrap();
        let error = load_error(&broken);
        assert!(error.contains("is not a safetensors file"), "{error}");
    }
}

/// Rewrites the artifact; `change` returns the new array, or `None` to drop it.
fn rewritten<'a>(
    whole: &'a [u8],
    change: impl Fn(&str, TensorView<'a>) -> Option<TensorView<'a>>,
) -> Vec<u8> {
    let (_, metadata) = SafeTensors::read_metadata(whole).unwrap();
    let arrays = SafeTensors::deserialize(whole).unwrap().tensors();
    let arrays = arrays
        .into_iter()
        .filter_map(|(name, array)| change(&name, array).map(|array| (name, array)));
    safetensors::serialize(arrays, metadata.metadata().clone()).unwrap()
}

#[test]
fn errors_name_missing_arrays_and_wrong_shapes() {
    let (folder, path) = artifact();
    let whole = std::fs::read(&path).unwrap();
    let broken = folder.path().join("broken");

    let incomplete = rewritten(&whole, |name, array| {
        (name != "svm.weights").then_some(array)
    });
    std::fs::write(&broken, incomplete).unwrap();
    let error = load_error(&broken);
    assert!(
        error.contains("the array svm.weights is missing"),
        "{error}"
    );

    let short = rewritten(&whole, |name, array| {
        let (shape, length) = (array.shape().to_vec(), array.data().len());
        let cut = match name {
            "pca.weights" => &array.data()[..length / shape[0]],
            _ => return Some(array),
        };
        Some(TensorView::new(array.dtype(), vec![1, shape[1]], cut).unwrap())
    });
    std::fs::write(&broken, short).unwrap();
    let error = load_error(&broken);
    let shapes = "the array pca.weights has the shape [1, 8] instead of [90, any]";
    assert!(error.contains(shapes), "{error}");

    let two = [0_u8; 8];
    let gammas = rewritten(&whole, |name, array| match name {
        "pca.gamma" => Some(TensorView::new(array.dtype(), vec![2], &two).unwrap()),
        _ => Some(array),
    });
    std::fs::write(&broken, gammas).unwrap();
    let error = load_error(&broken);
    let count = "its pca.gamma has 2 values, but must have 1 or one per feature (12)";
    assert!(error.contains(count), "{error}");
}

#[test]
fn inconsistent_examples_are_rejected() {
    let (features, labels) = points(9, 5);
    let names = |count| vec!["name".to_owned(); count];
    let train = |features: &Array2<f32>, labels: &[usize], count| {
        let training = Training::default();
        let error = svm::train(features.view(), labels, &names(count), &training);
        error.unwrap_err().to_string()
    };
    assert!(train(&features, &labels[..8], 3).contains("9 points have 8 labels"));
    assert!(train(&features, &labels, 2).contains("label 2 is not below 2"));
    assert!(train(&features, &labels, 4).contains("has no point"));
    assert!(train(&features, &[0; 9], 1).contains("two are needed"));
    let mut holes = features.clone();
    holes[[0, 0]] = f32::NAN;
    assert!(train(&holes, &labels, 3).contains("NaN"));
}
