//! The inception model on its real architecture (`make artifacts` makes it, with random weights) and photographs
//! (`make setup` fetches them).

use std::{fs, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use featurizer::{Featurizer, Settings};
use model::{Batch, DataType, InputError, Model, Output};

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn load() -> Featurizer {
    let settings = Settings {
        data_type: DataType::Strings,
        threads: 2,
        ..Settings::default()
    };
    let artifact = root().join("artifacts/inception.onnx");
    inception::load(&artifact, settings).expect("run `make artifacts`")
}

fn photograph(name: &str) -> String {
    let path = root().join(".deps/python/skimage/data").join(name);
    STANDARD.encode(fs::read(path).expect("run `make setup`"))
}

fn features(model: &mut Featurizer, inputs: &[&str]) -> Vec<Result<Vec<f32>, InputError>> {
    let batch = Batch {
        data_type: DataType::Strings,
        inputs: inputs.iter().map(|input| input.as_bytes()).collect(),
    };
    let outputs = model.predict(&batch).expect("the engine runs").into_iter();
    let floats = |output| match output {
        Output::Floats(values) => values,
        other => panic!("{other:?} is not floats"),
    };
    outputs.map(|output| output.map(floats)).collect()
}

#[test]
fn photographs_have_the_same_features_in_a_batch_as_alone() {
    let mut model = load();
    let photographs = ["rocket.jpg", "coffee.png", "camera.png"].map(photograph);
    let inputs = photographs.each_ref().map(String::as_str);
    let batch = features(&mut model, &inputs);
    for (input, together) in inputs.iter().zip(&batch) {
        let alone = features(&mut model, &[input]).remove(0).unwrap();
        let largest = alone.iter().copied().fold(0.0, f32::max);
        assert_eq!(alone.len(), 2048);
        for (alone, together) in alone.iter().zip(together.as_ref().unwrap()) {
            assert!(
                (alone - together).abs() <= 1e-5 * largest,
                "{alone} {together}"
            );
        }
    }
}

#[test]
fn random_weights_still_tell_photographs_apart() {
    let photographs = ["rocket.jpg", "coffee.png", "camera.png"].map(photograph);
    let inputs = photographs.each_ref().map(String::as_str);
    let features: Vec<_> = features(&mut load(), &inputs)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    for values in &features {
        let mean = values.iter().sum::<f32>() / 2048.0;
        let squares = values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f32>();
        let deviation = (squares / 2048.0).sqrt();
        assert!(
            (0.05..10.0).contains(&deviation),
            "standard deviation {deviation}"
        );
    }
    for (one, other) in [(0, 1), (1, 2), (2, 0)] {
        let (one, other) = (&features[one], &features[other]);
        let difference: f32 = one.iter().zip(other).map(|(a, b)| (a - b).abs()).sum();
        assert!(
            difference / one.iter().sum::<f32>() > 0.02,
            "difference {difference}"
        );
    }
}

#[test]
fn a_bad_picture_fails_alone() {
    let mut model = load();
    let photographs = ["rocket.jpg", "coffee.png"].map(photograph);
    let [rocket, coffee] = photographs.each_ref().map(String::as_str);
    let good = features(&mut model, &[rocket, coffee]);
    let mixed = features(&mut model, &["no base64!", rocket, "aGVsbG8=", coffee]);
    assert!(mixed[0].is_err() && mixed[2].is_err());
    assert_eq!([&mixed[1], &mixed[3]], [&good[0], &good[1]]);

    let bad = features(&mut model, &["aGVsbG8="]).remove(0).unwrap_err();
    assert!(
        bad.0.starts_with("the input is not a JPEG or PNG picture"),
        "{bad}"
    );
    assert!(features(&mut model, &[]).is_empty());
}
