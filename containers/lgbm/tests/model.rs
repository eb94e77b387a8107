//! The model as used by its server, compared with LightGBM's Python package (`reference.py`).

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, fs, path::Path};

use lgbm::{Lgbm, Settings};
use model::{Batch, DataType, Model, Output, Predictions};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const MODEL: &str = include_str!("models/multiclass.txt");

/// Results of the Python package.
#[derive(serde::Deserialize)]
struct Reference {
    /// Bits of the float32 inputs.
    inputs: Vec<Vec<u32>>,
    /// Scores by model.
    scores: BTreeMap<String, Scores>,
}

/// Scores by input; `None` is a number that is not finite.
#[derive(serde::Deserialize)]
struct Scores {
    raw: Vec<Vec<Option<f64>>>,
    predictions: Vec<Vec<Option<f64>>>,
}

impl Reference {
    fn load() -> Reference {
        serde_json::from_str(include_str!("reference.json")).unwrap()
    }

    fn rows(&self) -> Vec<Vec<f64>> {
        let value = |&bits: &u32| f64::from(f32::from_bits(bits));
        let row = |bits: &Vec<u32>| bits.iter().map(value).collect();
        self.inputs.iter().map(row).collect()
    }

    fn inputs(&self) -> Vec<Vec<u8>> {
        let bytes = |bits: &Vec<u32>| bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        self.inputs.iter().map(bytes).collect()
    }
}

/// Returns the text of each model by its name.
fn models() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Returns the model without its objective, so that its predictions are raw scores.
fn without_objective(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines
        .filter(|line| !line.starts_with("objective=") && *line != "average_output\n")
        .collect()
}

fn load(text: impl AsRef<[u8]>, threads: usize) -> Result<Lgbm, lgbm::Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lgbm.txt");
    fs::write(&path, text).unwrap();
    let settings = Settings {
        threads,
        ..Settings::default()
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

fn bits(answer: &Result<Output, model::InputError>) -> Vec<u32> {
    let scores = floats(answer.as_ref().unwrap()).iter();
    scores.map(|score| score.to_bits()).collect()
}

fn floats(output: &Output) -> &[f32] {
    match output {
        Output::Floats(scores) => scores,
        other => panic!("{other:?} is not floats"),
    }
}

/// Asserts that scores equal Python's to 1e-12 of their size, or of 1 if they are smaller.
fn assert_scores(text: &str, rows: &[Vec<f64>], expected: &[Vec<Option<f64>>], what: &str) {
    let model = load(text, 1).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(expected) {
        let scores = model.scores(row).unwrap();
        assert_eq!(scores.len(), expected.len(), "{what}");
        for (&ours, theirs) in scores.iter().zip(expected) {
            let same = match theirs {
                Some(theirs) => (ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0),
                None => !ours.is_finite(),
            };
            assert!(same, "{what} of {row:?}: {ours}, not {theirs:?}");
        }
    }
}

#[test]
fn scores_of_every_kind_of_model_match_python() {
    let reference = Reference::load();
    let (rows, models) = (reference.rows(), models());
    assert!(
        models.keys().eq(reference.scores.keys()),
        "run reference.py"
    );
    for (name, text) in models {
        let scores = &reference.scores[&name];
        assert_scores(
            &text,
            &rows,
            &scores.predictions,
            &format!("prediction by {name}"),
        );
        let raw = without_objective(&text);
        assert_scores(&raw, &rows, &scores.raw, &format!("raw score by {name}"));
    }
}

#[test]
fn predictions_are_float32_scores_for_any_batch_and_threads() {
    let reference = Reference::load();
    let rows = reference.rows();
    // The batch has many blocks of rows, and an incomplete last one.
    let inputs: Vec<_> = reference.inputs().into_iter().cycle().take(1003).collect();
    for (name, text) in models() {
        for threads in [1, 3] {
            let mut model = load(&text, threads).unwrap();
            let served = |row: &Vec<f64>| {
                let scores = model.scores(row).unwrap();
                scores
                    .iter()
                    .map(|&score| (score as f32).to_bits())
                    .collect()
            };
            let expected: Vec<Vec<u32>> = rows.iter().map(served).collect();
            for (input, expected) in inputs.iter().zip(&expected) {
                let alone = predict(&mut model, std::slice::from_ref(input));
                assert_eq!(&bits(&alone[0]), expected, "{name} alone");
            }
            let answers = predict(&mut model, &inputs);
            assert_eq!(answers.len(), inputs.len());
            for (answer, expected) in answers.iter().zip(expected.iter().cycle()) {
                assert_eq!(&bits(answer), expected, "{name} on {threads} threads");
            }
        }
    }
}

#[test]
fn describes_its_input_and_accepts_an_empty_batch() {
    let mut model = load(MODEL, 2).unwrap();
    assert_eq!(model.info().input_shape, [6]);
    assert_eq!(model.info().threads, 2);
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
        let expected = format!("must be 6 floats (24 bytes), this one has {bytes} bytes");
        assert!(reason.contains(&expected), "{reason}");
    }
    assert_eq!(answers[1], expected[1]);
    assert_eq!(answers[3..], expected[3..]);
    let alone = predict(&mut model, &inputs[..1]);
    assert!(alone[0].is_err(), "a single short row must not be read");
    assert!(model.scores(&[0.0; 5]).is_err());
}

#[test]
fn invalid_inputs_do_not_affect_others_of_a_shared_batch() {
    let mut inputs: Vec<_> = Reference::load()
        .inputs()
        .into_iter()
        .cycle()
        .take(1000)
        .collect();
    let mut model = load(MODEL, 3).unwrap();
    let expected = predict(&mut model, &inputs);
    inputs.iter_mut().step_by(7).for_each(Vec::clear);
    let answers = predict(&mut model, &inputs);
    assert_eq!(answers.len(), inputs.len());
    for (place, (answer, expected)) in answers.iter().zip(&expected).enumerate() {
        match place % 7 {
            0 => assert!(answer.is_err(), "input {place} was empty"),
            _ => assert_eq!(answer, expected),
        }
    }
}

#[test]
fn a_missing_model_is_reported_with_its_make_command() {
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

/// Text to damage, its replacement, and the expected error.
const DAMAGES: &[(&str, &str, &str)] = &[
    ("tree\n", "forest\n", "its first line is not \"tree\""),
    ("num_class=3", "num_class=4", "counts 4 classes"),
    (
        "multiclass num_class:3",
        "multiclass num_class:9",
        "counts 3 classes",
    ),
    (
        "tree_sizes=546 536",
        "tree_sizes=1082",
        "8 trees are not a multiple of 3",
    ),
    (
        "max_feature_idx=5",
        "max_feature_idx=five",
        "max_feature_idx is missing",
    ),
    (
        "max_feature_idx=5",
        "max_feature_idx=6",
        "Wrong size of feature_names",
    ),
    ("tree_sizes=546", "tree_sizes=544", "tree 0: its lines"),
    (
        "left_child=1",
        "left_child=0",
        "tree 0: number 0 of its left_child",
    ),
    (
        "right_child=-2 -3 -4",
        "right_child=-2 -3 -9",
        "tree 0: number 2 of its right_child",
    ),
    (
        "split_feature=4",
        "split_feature=7",
        "tree 0: number 0 of its split_feature",
    ),
    (
        "decision_type=10",
        "decision_type=11",
        "tree 0: number 0 of its decision_type",
    ),
    (
        "leaf_value=-1.",
        "leaf_value=-1 ",
        "tree 0: its leaf_value has 5 of 4",
    ),
    (
        "leaf_weight=11.",
        "leaf_weight=2x.",
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

#[test]
fn damaged_models_are_rejected_with_a_reason() {
    for &(from, to, problem) in DAMAGES {
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
fn models_that_would_end_lightgbms_process_are_rejected() {
    let (one_leaf, linear) = (
        include_str!("models/one_leaf.txt"),
        include_str!("models/linear_tree.txt"),
    );
    for (text, from, to, problem) in [
        (one_leaf, "num_cat=0", "num_dog=0", "its num_cat is missing"),
        (
            linear,
            "leaf_const=4.",
            "leaf_const=4e",
            "its leaf_const has",
        ),
        (
            linear,
            "leaf_const=4.",
            "leaf_const=4e-",
            "its leaf_const has",
        ),
        (
            MODEL,
            "objective=multiclass num_class:3",
            "objective=",
            "no name",
        ),
    ] {
        assert!(text.contains(from), "{from}");
        let error = load(text.replacen(from, to, 1), 1).err();
        let error = error.unwrap_or_else(|| panic!("{to} was loaded"));
        assert!(error.to_string().contains(problem), "{to}: {error}");
    }
}

#[test]
fn truncated_models_are_rejected() {
    for length in (0..MODEL.find("end of trees").unwrap()).step_by(37) {
        assert!(load(&MODEL[..length], 1).is_err(), "cut at {length}");
    }
}

#[test]
fn no_changed_byte_ends_the_process() {
    let inputs = Reference::load().inputs();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    for text in models().values() {
        for _ in 0..100 {
            let mut bytes = text.as_bytes().to_vec();
            let at = random.random_range(..bytes.len());
            bytes[at] = random.random();
            if let Ok(mut model) = load(&bytes, 1) {
                let answers = predict(&mut model, &inputs);
                assert_eq!(answers.len(), inputs.len());
            }
        }
    }
}

#[test]
fn training_is_reproducible_and_separates_the_classes() {
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
fn inconsistent_examples_are_rejected() {
    let train = |features: &[f32], labels: &[usize], classes| {
        let error = lgbm::train(features, labels, classes, Path::new("unused"));
        error.unwrap_err().to_string()
    };
    assert!(train(&[1.0, 2.0, 3.0], &[0, 1], 2).contains("not a multiple"));
    assert!(train(&[1.0, 2.0], &[0, 1], 3).contains("a point of each"));
    assert!(train(&[1.0, 2.0, 3.0], &[0, 1, 2], 2).contains("label 2"));
}
