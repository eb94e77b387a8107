//! The vgg model on its real architecture with random weights (`make artifacts`).

use std::{io::Cursor, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use featurizer::{EngineKind, Error, Featurizer, Settings};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use model::{Batch, DataType, Model, Output};
use testkit::{PictureFeatures, Reference};

fn settings(data_type: DataType) -> Settings {
    Settings {
        data_type,
        threads: 2,
        ..Settings::default()
    }
}

fn load(artifact: &str, settings: Settings) -> Result<Featurizer, Error> {
    let artifacts = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../artifacts"));
    vgg::load(&artifacts.join(artifact), settings)
}

fn features(model: &mut Featurizer, data_type: DataType, inputs: &[Vec<u8>]) -> Vec<Vec<f32>> {
    let inputs = inputs.iter().map(Vec::as_slice).collect();
    let outputs = model
        .predict(&Batch { data_type, inputs })
        .expect("the engine runs");
    let floats = outputs.into_iter().map(|output| match output {
        Ok(Output::Floats(values)) => values,
        other => panic!("{other:?} is not floats"),
    });
    floats.collect()
}

/// Returns a picture with gradients and edges, different for every seed.
fn picture(seed: u32) -> RgbImage {
    RgbImage::from_fn(224, 224, |x, y| {
        let edge = if (x / 16 + y / (8 + seed)).is_multiple_of(2) {
            90
        } else {
            0
        };
        Rgb([
            (x / 2) as u8 + edge,
            (y / 2) as u8,
            ((x * seed) % 256) as u8,
        ])
    })
}

fn floats(picture: &RgbImage) -> Vec<u8> {
    let values = picture.as_raw().iter();
    values
        .flat_map(|&value| f32::from(value).to_le_bytes())
        .collect()
}

fn png(picture: &RgbImage) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let picture = DynamicImage::from(picture.clone());
    picture
        .write_to(&mut file, ImageFormat::Png)
        .expect("writing to memory succeeds");
    STANDARD.encode(file.into_inner()).into_bytes()
}

#[test]
fn pixels_and_files_have_the_same_features() {
    let pictures = [picture(1), picture(2), picture(3)];
    let inputs = pictures.each_ref().map(floats);
    let loaded = load("vgg.onnx", settings(DataType::Floats));
    let mut model = loaded.expect("run `make artifacts`");
    let batch = features(&mut model, DataType::Floats, &inputs);
    for features in &batch {
        assert_eq!(features.len(), 4096);
        assert!(features.iter().all(|&value| value >= 0.0));
    }
    assert!(batch[0] != batch[1]);

    drop(model);
    let mut whole = settings(DataType::Strings);
    whole.flags.network.resize = Some(0);
    let mut model = load("vgg.onnx", whole).expect("run `make artifacts`");
    let files = pictures.each_ref().map(png);
    assert!(features(&mut model, DataType::Strings, &files) == batch);
}

#[test]
fn artifacts_of_another_shape_are_served() {
    let loaded = load("inception.onnx", settings(DataType::Floats));
    let mut model = loaded.expect("run `make artifacts`");
    assert_eq!(model.info().input_shape, [299, 299, 3]);
    let input = vec![0; 4 * 299 * 299 * 3];
    let features = features(&mut model, DataType::Floats, &[input]);
    assert_eq!(features[0].len(), 2048);
}

/// Returns torchvision's features and the engine's own, for each engine of this build.
fn answers() -> Vec<(Reference, Vec<PictureFeatures>)> {
    let engines = EngineKind::in_this_build().into_iter();
    let ask = |engine| {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference.npy");
        let reference = Reference::load(224, file);
        let mut settings = settings(DataType::Floats);
        settings.flags.engine = engine;
        let answers =
            reference.predict_all(&mut load("vgg.onnx", settings).expect("run `make artifacts`"));
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
