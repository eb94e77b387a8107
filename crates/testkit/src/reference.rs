//! Comparison of a featurizer with torchvision: photographs, and their features with the seeded
//! weights, computed by `crates/featurizer/tests/reference.py`.

use std::{fs, path::Path};

use model::{Batch, DataType, Model, Output};

/// Files in the order of the rows of reference features.
const PHOTOGRAPHS: [&str; 4] = [
    "astronaut.png",
    "coffee.png",
    "chelsea.png",
    "motorcycle_left.png",
];

/// Pictures, and their features by torchvision.
pub struct Reference {
    /// `side x side x 3` floats per picture, channels last.
    inputs: Vec<Vec<u8>>,
    features: Vec<Vec<f32>>,
}

/// A model's features of one picture of a [`Reference`], computed in one batch.
pub struct PictureFeatures {
    /// Index into [`PHOTOGRAPHS`].
    picture: usize,
    /// Indices of all pictures of the batch.
    batch: Vec<usize>,
    features: Vec<f32>,
}

impl Reference {
    /// Loads the centre of each photograph, `side x side` pixels, and the features in the `.npy`
    /// file `file`: float32, `[pictures, features]`.
    pub fn load(side: u32, file: &str) -> Reference {
        let bytes = fs::read(file).unwrap();
        let npy = npyz::NpyFile::new(&bytes[..]).unwrap();
        let width = npy.shape()[1] as usize;
        let values: Vec<f32> = npy.into_vec().unwrap();
        let rows = values.chunks_exact(width);
        Reference {
            inputs: PHOTOGRAPHS.map(|name| centre(name, side)).into(),
            features: rows.map(<[f32]>::to_vec).collect(),
        }
    }

    /// Computes the features with a model of float inputs: each picture alone, and in batches of 3
    /// and 8.
    pub fn predict_all(&self, model: &mut impl Model) -> Vec<PictureFeatures> {
        let mut batches: Vec<Vec<_>> = (0..self.inputs.len()).map(|i| vec![i]).collect();
        batches.push(vec![3, 0, 1]);
        batches.push(vec![0, 1, 2, 3, 3, 2, 0, 1]);
        let answers = batches.into_iter().flat_map(|batch| {
            let inputs = batch.iter().map(|&i| self.inputs[i].as_slice()).collect();
            let data_type = DataType::Floats;
            let outputs = model.predict(&Batch { data_type, inputs }).unwrap();
            assert_eq!(outputs.len(), batch.len());
            let pictures = batch.clone().into_iter().zip(outputs);
            pictures.map(move |(picture, output)| match output.unwrap() {
                Output::Floats(features) => PictureFeatures {
                    picture,
                    batch: batch.clone(),
                    features,
                },
                other => panic!("the model returned {other:?} instead of floats"),
            })
        });
        answers.collect()
    }

    /// Panics unless all features are within 1e-4 of torchvision's, relative to the largest value.
    pub fn assert_matches_torchvision(&self, answers: &[PictureFeatures]) {
        for answer in answers {
            answer.assert_near(&self.features[answer.picture], 1e-4);
        }
    }

    /// Panics unless the features of a picture are within 1e-5 of each other in all batches,
    /// relative to the largest value.
    pub fn assert_independent(&self, answers: &[PictureFeatures]) {
        for alone in answers.iter().filter(|answer| answer.batch.len() == 1) {
            let same = |other: &&PictureFeatures| other.picture == alone.picture;
            for answer in answers.iter().filter(same) {
                answer.assert_near(&alone.features, 1e-5);
            }
        }
    }
}

impl PictureFeatures {
    fn assert_near(&self, expected: &[f32], tolerance: f32) {
        assert_eq!(self.features.len(), expected.len());
        assert!(
            self.features.iter().all(|value| value.is_finite()),
            "NaN or infinite"
        );
        let largest = expected.iter().fold(0.0, |a: f32, b| a.max(b.abs()));
        let pairs = self.features.iter().zip(expected);
        let difference = pairs.fold(0.0, |a: f32, (b, c)| a.max((b - c).abs()));
        assert!(
            difference <= tolerance * largest,
            "{} in the batch {:?}: a feature is off by {:e} of the largest; {tolerance:e} is allowed. \
             If the artifact is not the seeded one of this version, run \
             `cargo run --release -p xtask -- artifacts --force`.",
            PHOTOGRAPHS[self.picture],
            self.batch,
            difference / largest
        );
    }
}

/// Returns the central `side x side` pixels of a photograph of `make setup`, without resizing.
fn centre(name: &str, side: u32) -> Vec<u8> {
    let folder = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../.deps/python/skimage/data"
    ));
    let photograph = image::open(folder.join(name)).expect("run `make setup`");
    let (left, top) = (
        (photograph.width() - side) / 2,
        (photograph.height() - side) / 2,
    );
    let square = photograph.crop_imm(left, top, side, side).into_rgb8();
    let values = square.as_raw().iter();
    values
        .flat_map(|&value| f32::from(value).to_le_bytes())
        .collect()
}
