//! The inception model on its real architecture with random weights (`make artifacts`) and on
//! photographs (`make setup`).

use std::{fs, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use featurizer::{EngineKind, Featurizer, Settings};
use model::{Batch, DataType, InputError, Model, Output};
use testkit::{PictureFeatures, Reference};

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn settings(data_type: DataType) -> Settings {
    Settings {
        data_type,
        threads: 2,
        ..Settings::default()
    }
}

fn load(settings: Settings) -> Featurizer {
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
fn random_weights_distinguish_photographs() {
    let photographs = ["rocket.jpg", "coffee.png", "camera.png"].map(photograph);
    let inputs = photographs.each_ref().map(String::as_str);
    let features: Vec<_> = features(&mut load(settings(DataType::Strings)), &inputs)
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
fn an_invalid_picture_fails_alone() {
    let mut model = load(settings(DataType::Strings));
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

/// Returns torchvision's features and the engine's own, for each engine of this build.
fn answers() -> Vec<(Reference, Vec<PictureFeatures>)> {
    let engines = EngineKind::in_this_build().into_iter();
    let ask = |engine| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference.npy");
        let reference = Reference::load(299, file);
        let mut settings = settings(DataType::Floats);
        settings.flags.engine = engine;
        let answers = reference.predict_all(&mut load(settings));
        (reference, answers)
    };
    engines.map(ask).collect()
}

#[test]
fn features_match_torchvision_in_batches_of_1_3_and_8() {
    for (reference, answers) in answers() {
        reference.assert_matches_torchvision(&answers);
    }
}

#[test]
fn features_do_not_depend_on_the_batch() {
    for (reference, answers) in answers() {
        reference.assert_independent(&answers);
    }
}
