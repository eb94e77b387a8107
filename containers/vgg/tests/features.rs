//! The vgg model on its real architecture (`make artifacts` makes it, with random weights).

use std::{io::Cursor, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use featurizer::{Error, Featurizer, Settings};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use model::{Batch, DataType, Model, Output};

fn load(artifact: &str, data_type: DataType) -> Result<Featurizer, Error> {
    let artifacts = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../artifacts"));
    let settings = Settings {
        data_type,
        threads: 2,
        ..Settings::default()
    };
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

/// Pictures with gradients and edges, all different.
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
        .expect("memory takes it");
    STANDARD.encode(file.into_inner()).into_bytes()
}

#[test]
fn a_picture_has_the_same_features_alone_in_a_batch_and_as_a_file() {
    let pictures = [picture(1), picture(2), picture(3)];
    let inputs = pictures.each_ref().map(floats);
    let mut model = load("vgg.onnx", DataType::Floats).expect("run `make artifacts`");
    let batch = features(&mut model, DataType::Floats, &inputs);
    for (input, together) in inputs.iter().zip(&batch) {
        let alone = features(&mut model, DataType::Floats, std::slice::from_ref(input)).remove(0);
        let largest = alone.iter().copied().fold(0.0, f32::max);
        assert_eq!(alone.len(), 4096);
        assert!(largest > 0.0 && alone.iter().all(|&value| value >= 0.0));
        for (alone, together) in alone.iter().zip(together) {
            assert!(
                (alone - together).abs() <= 1e-5 * largest,
                "{alone} {together}"
            );
        }
    }
    assert_ne!(batch[0], batch[1]);

    drop(model);
    let mut model = load("vgg.onnx", DataType::Strings).expect("run `make artifacts`");
    let files = pictures.each_ref().map(png);
    assert_eq!(features(&mut model, DataType::Strings, &files), batch);
}

#[test]
fn an_artifact_of_another_shape_is_refused_naming_both_shapes() {
    let error = load("inception.onnx", DataType::Floats)
        .err()
        .expect("it has another shape");
    let error = error.to_string();
    let shapes = "its input is [N, 3, 299, 299], it must be [N, 3, 224, 224]";
    assert!(
        error.contains(shapes),
        "{error} (missing: run `make artifacts`)"
    );
}
