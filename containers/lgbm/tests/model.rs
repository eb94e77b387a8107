//! The model as its server uses it, against scores of LightGBM's Python package (`reference.py`).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::Path};

use lgbm::{Lgbm, Settings};
use model::{Batch, DataType, Model, Output, Predictions};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const MODEL: &str = include_str!("reference.txt");

/// What Python computed; `None` is NaN.
#[derive(serde::Deserialize)]
struct Reference {
    inputs: Vec<Vec<Option<f32>>>,
    scores: Vec<Vec<f64>>,
}

impl Reference {
    fn load() -> Reference {
        serde_json::from_str(include_str!("reference.json")).unwrap()
    }

    fn inputs(&self) -> Vec<Vec<u8>> {
        let bytes = |value: &Option<f32>| value.unwrap_or(f32::NAN).to_le_bytes();
        let inputs = self.inputs.iter();
        inputs
            .map(|row| row.iter().flat_map(bytes).collect())
            .collect()
    }
}

fn load(text: impl AsRef<[u8]>, threads: usize) -> Result<Lgbm, lgbm::Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lgbm.txt");
    fs::write(&path, text).unwrap();
    let settings = Settings {
        threads,
        artifact: None,
    };
    Lgbm::load(&path, settings)
}

fn predict(model: &mut Lgbm, inputs: &[Vec<u8>]) -> Predictions {
    let batch = Batch {
        data_type: DataType::Floats,
        inputs: inputs.iter().map(Vec::as_slice).collect(),
    };
    model.predict(&batch).unwrap()
}

fn floats(output: &Output) -> &[f32] {
    match output {
        Output::Floats(scores) => scores,
        other => panic!("{other:?} are no floats"),
    }
}

#[test]
fn scores_are_those_of_python_to_a_float32s_last_digit() {
    let reference = Reference::load();
    let mut model = load(MODEL, 2).unwrap();
    assert_eq!(model.info().input_shape, [6]);
    let answers = predict(&mut model, &reference.inputs());
    assert_eq!(answers.len(), reference.scores.len());
    for (answer, scores) in answers.iter().zip(&reference.scores) {
        let ours = floats(answer.as_ref().unwrap());
        assert_eq!(ours.len(), 3);
        for (&ours, &theirs) in ours.iter().zip(scores) {
            // Half a unit in the last place of a float32 is 6e-8 of the value.
            assert!((f64::from(ours) - theirs).abs() <= 6e-8 * theirs);
        }
    }
}

#[test]
fn a_batch_is_answered_as_its_inputs_are_one_by_one() {
    let inputs = Reference::load().inputs();
    let mut model = load(MODEL, 2).unwrap();
    let together = predict(&mut model, &inputs);
    let alone: Predictions = inputs
        .iter()
        .flat_map(|input| predict(&mut model, std::slice::from_ref(input)))
        .collect();
    assert_eq!(together, alone);
    assert_eq!(predict(&mut model, &[]), []);
}

#[test]
fn an_input_of_another_length_fails_alone() {
    let mut inputs = Reference::load().inputs();
    let mut model = load(MODEL, 1).unwrap();
    let expected = predict(&mut model, &inputs);
    inputs[0].truncate(8);
    inputs[2].extend([0; 4]);
    let answers = predict(&mut model, &inputs);
    for (index, bytes) in [(0, 8), (2, 28)] {
        let reason = &answers[index].as_ref().unwrap_err().0;
        let said = format!("must be 6 floats (24 bytes), this one has {bytes} bytes");
        assert!(reason.contains(&said), "{reason}");
    }
    assert_eq!(answers[1], expected[1]);
    assert_eq!(answers[3..], expected[3..]);
    let alone = predict(&mut model, &inputs[..1]);
    assert!(alone[0].is_err(), "a single short row must not be read");
}

#[test]
fn a_missing_model_says_how_to_make_it() {
    let error = Lgbm::load(Path::new("nowhere/lgbm.txt"), Settings::default()).err();
    let error = error.unwrap().to_string();
    for part in [
        "nowhere/lgbm.txt",
        "xtask -- artifacts",
        "CLIPPER_MODEL_PATH",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_damaged_model_is_refused_with_what_is_wrong() {
    let damages = [
        ("tree\n", "forest\n", "its first line is not \"tree\""),
        ("num_class=3", "num_class=4", "counts 4 classes"),
        (
            "multiclass num_class:3",
            "multiclass num_class:9",
            "counts 3 classes",
        ),
        (
            "max_feature_idx=5",
            "max_feature_idx=five",
            "max_feature_idx is missing",
        ),
        (
            "max_feature_idx=5",
            "max_feature_idx=4",
            "Wrong size of feature_names",
        ),
        ("tree_sizes=535", "tree_sizes=533", "tree 0: its lines"),
        (
            "left_child=2",
            "left_child=0",
            "tree 0: number 0 of its left_child",
        ),
        (
            "right_child=1 -3 -4",
            "right_child=1 -3 -9",
            "tree 0: number 2 of its right_child",
        ),
        (
            "split_feature=0",
            "split_feature=7",
            "tree 0: number 0 of its split_feature",
        ),
        (
            "decision_type=2",
            "decision_type=1",
            "tree 0: number 0 of its decision_type",
        ),
        (
            "leaf_value=-1.",
            "leaf_value=-1 ",
            "tree 0: its leaf_value has 5 of 4",
        ),
        (
            "leaf_weight=22",
            "leaf_weight=2x",
            "tree 0: its leaf_weight has \"2x.",
        ),
        ("num_cat=0", "num_cat=2", "tree 0: its cat_boundaries"),
        (
            "is_linear=0",
            "is_linear=1",
            "tree 0: its leaf_const has 0 of 4",
        ),
        ("end of trees", "end of files", "its trees do not end"),
    ];
    for (from, to, problem) in damages {
        assert!(MODEL.contains(from), "{from}");
        let error = load(MODEL.replacen(from, to, 1), 1).err();
        let error = error
            .unwrap_or_else(|| panic!("{to} was loaded"))
            .to_string();
        assert!(error.contains(problem), "{to}: {error}");
    }
    let error = load([0xff, 0xfe, 0], 1).err().unwrap().to_string();
    assert!(error.contains("it is not text"), "{error}");
}

#[test]
fn a_model_that_was_cut_short_is_refused() {
    for length in (0..MODEL.find("end of trees").unwrap()).step_by(37) {
        assert!(load(&MODEL[..length], 1).is_err(), "cut at {length}");
    }
}

#[test]
fn no_changed_byte_ends_the_process() {
    let inputs = Reference::load().inputs();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    for _ in 0..1000 {
        let mut bytes = MODEL.as_bytes().to_vec();
        let at = random.random_range(..bytes.len());
        bytes[at] = random.random();
        if let Ok(mut model) = load(&bytes, 1) {
            let answers = predict(&mut model, &inputs);
            assert_eq!(answers.len(), inputs.len());
        }
    }
}

#[test]
fn a_trained_model_knows_its_classes_and_comes_out_the_same_again() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let labels: Vec<usize> = (0..150).map(|row| row % 3).collect();
    let features: Vec<f32> = labels
        .iter()
        .flat_map(|&label| [label as f32, 1.0 - label as f32, 0.0, 0.5])
        .map(|centre| centre + random.random_range(-0.3..0.3))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let paths = [folder.path().join("one"), folder.path().join("two")];
    for path in &paths {
        lgbm::train(&features, &labels, 3, path).unwrap();
    }
    assert!(fs::read(&paths[0]).unwrap() == fs::read(&paths[1]).unwrap());

    let mut model = Lgbm::load(&paths[0], Settings::default()).unwrap();
    let bytes = |centre: [f32; 4]| centre.iter().flat_map(|v| v.to_le_bytes()).collect();
    let centres: Vec<Vec<u8>> = [0.0, 1.0, 2.0]
        .map(|label| bytes([label, 1.0 - label, 0.0, 0.5]))
        .into();
    for (class, answer) in predict(&mut model, &centres).into_iter().enumerate() {
        let answer = answer.unwrap();
        assert!(floats(&answer)[class] > 0.9, "{answer:?}");
    }
}

#[test]
fn examples_that_cannot_be_learnt_from_are_refused() {
    let train = |features: &[f32], labels: &[usize], classes| {
        let error = lgbm::train(features, labels, classes, Path::new("unused"));
        error.unwrap_err().to_string()
    };
    assert!(train(&[1.0, 2.0, 3.0], &[0, 1], 2).contains("no whole rows"));
    assert!(train(&[1.0, 2.0], &[0, 1], 3).contains("a point of each"));
    assert!(train(&[1.0, 2.0, 3.0], &[0, 1, 2], 2).contains("label 2"));
}
