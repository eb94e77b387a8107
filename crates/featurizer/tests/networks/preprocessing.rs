//! Preprocessing of picture files, compared with torchvision's own transforms (`../reference.py`).

use std::{fs, path::Path};

use crate::file::File;
use base64::{Engine, prelude::BASE64_STANDARD};
use featurizer::{Architecture, Channels, Featurizer, Scaling, Settings};
use model::{Batch, DataType, Model, Output};

/// Photographs in the order of the references.
const PHOTOGRAPHS: [&str; 3] = ["coffee.png", "cell.png", "text.png"];
/// Distance in pixels between the sampled pixels of the references.
const STEP: usize = 16;
/// Scaling that keeps the pixels' values.
const PLAIN: Scaling = Scaling {
    mean: Channels::all(0.0),
    std: Channels::all(1.0 / 255.0),
};
const VGG: Architecture = Architecture {
    name: "vgg",
    side: 224,
    resize: 256,
    scaling: Scaling {
        mean: Channels::new(0.485, 0.456, 0.406),
        std: Channels::new(0.229, 0.224, 0.225),
    },
};
const INCEPTION: Architecture = Architecture {
    name: "inception",
    side: 299,
    resize: 342,
    scaling: Scaling {
        mean: Channels::all(0.5),
        std: Channels::all(0.5),
    },
};

/// Returns the preprocessed photographs, `[3, side, side]` each, by a network whose output is its
/// input.
fn preprocessed(architecture: &Architecture, scaling: Scaling, resize: usize) -> Vec<Vec<f32>> {
    let side = architecture.side as i64;
    let file = File::new([0, 3, side, side])
        .node("Flatten", "images", "features", &[])
        .save("features", &[0, 3 * side * side]);
    let mut settings = Settings {
        data_type: DataType::Strings,
        threads: 2,
        ..Settings::default()
    };
    settings.flags.network.mean = Some(scaling.mean);
    settings.flags.network.std = Some(scaling.std);
    settings.flags.network.resize = Some(resize);
    let mut model = Featurizer::load(architecture, file.path(), settings).unwrap();
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../.deps/python/skimage/data"
    );
    let inputs = PHOTOGRAPHS.map(|name| {
        let photograph = fs::read(Path::new(folder).join(name)).expect("run `make setup`");
        BASE64_STANDARD.encode(photograph).into_bytes()
    });
    let outputs = model.predict(&Batch {
        data_type: DataType::Strings,
        inputs: inputs.iter().map(Vec::as_slice).collect(),
    });
    let floats = outputs.unwrap().into_iter().map(|output| match output {
        Ok(Output::Floats(values)) => values,
        other => panic!("{other:?} is not floats"),
    });
    floats.collect()
}

/// Returns the sampled pixels of planes `[3, side, side]`, line by line with channels last.
fn sampled(planes: &[f32], side: usize) -> Vec<f32> {
    let places = (0..side).step_by(STEP);
    places
        .clone()
        .flat_map(|y| places.clone().map(move |x| y * side + x))
        .flat_map(|at| [0, 1, 2].map(|channel| planes[channel * side * side + at]))
        .collect()
}

fn reference<T: npyz::Deserialize>(file: &str) -> Vec<T> {
    let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"));
    let bytes = fs::read(data.join(file)).unwrap();
    npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap()
}

/// Fails if a pixel differs by more than one of 255 levels: both round, each in its own fixed
/// point.
#[track_caller]
fn assert_pixels(pictures: &[Vec<f32>], side: usize, file: &str) {
    let expected: Vec<u8> = reference(file);
    let found: Vec<f32> = pictures
        .iter()
        .flat_map(|picture| sampled(picture, side))
        .collect();
    assert_eq!(found.len(), expected.len());
    for (at, (found, &expected)) in found.iter().zip(&expected).enumerate() {
        let difference = (found - f32::from(expected)).abs();
        assert!(
            difference <= 1.001,
            "value {at} is {found}, torchvision's {expected}"
        );
    }
    let equal = |(found, expected): &(&f32, &u8)| (*found - f32::from(**expected)).abs() < 0.5;
    let equal = found.iter().zip(&expected).filter(equal).count();
    assert!(
        equal * 5 > expected.len() * 4,
        "{equal} of {} are equal",
        expected.len()
    );
}

#[test]
fn pictures_are_resized_and_cropped_as_by_torchvisions_presets() {
    assert_pixels(&preprocessed(&VGG, PLAIN, 256), 224, "vgg_crop.npy");
    assert_pixels(
        &preprocessed(&INCEPTION, PLAIN, 342),
        299,
        "inception_crop.npy",
    );
}

#[test]
fn whole_pictures_are_resized_as_by_torchvision() {
    assert_pixels(&preprocessed(&VGG, PLAIN, 0), 224, "vgg_stretch.npy");
    assert_pixels(
        &preprocessed(&INCEPTION, PLAIN, 0),
        299,
        "inception_stretch.npy",
    );
}

#[test]
fn pixels_are_normalised_as_by_torchvision() {
    for (architecture, file) in [
        (VGG, "vgg_normalised.npy"),
        (INCEPTION, "inception_normalised.npy"),
    ] {
        let planes = &preprocessed(&architecture, architecture.scaling, architecture.resize)[0];
        let found = sampled(planes, architecture.side);
        let expected: Vec<f32> = reference(file);
        let plane = expected.len() / 3;
        // One of 255 levels, in units of the smallest standard deviation.
        let level = 1.001
            / 255.0
            / <[f32; 3]>::from(architecture.scaling.std)
                .into_iter()
                .fold(1.0, f32::min);
        for (at, pixel) in found.chunks_exact(3).enumerate() {
            for (channel, value) in pixel.iter().enumerate() {
                let wanted = expected[channel * plane + at];
                assert!((value - wanted).abs() <= level, "{value} {wanted}");
            }
        }
    }
}
