//! Features that float32 cannot hold, such as times in seconds. With doubles the scores equal those
//! of LightGBM's Python package; with floats the model reports the loss.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::PathBuf};

use lgbm::{Lgbm, Settings};
use lightgbm3::{Booster, Dataset};
use model::{Batch, DataType, InputError, Model, Output, Predictions};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::json;

/// Results of the Python package (`reference.py`); `None` is NaN.
#[derive(serde::Deserialize)]
struct Reference {
    inputs: Vec<Vec<Option<f64>>>,
    predictions: Vec<f64>,
}

impl Reference {
    fn load() -> Reference {
        serde_json::from_str(include_str!("doubles/timestamps.json")).unwrap()
    }

    /// Returns the inputs' little-endian bytes.
    fn inputs(&self) -> Vec<Vec<u8>> {
        let bytes = |value: &Option<f64>| value.unwrap_or(f64::NAN).to_le_bytes();
        let row = |row: &Vec<Option<f64>>| row.iter().flat_map(bytes).collect();
        self.inputs.iter().map(row).collect()
    }
}

fn timestamps() -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/doubles/timestamps.txt"
    ))
}

fn load(doubles: bool, threads: usize) -> Lgbm {
    let settings = Settings {
        threads,
        doubles,
        ..Settings::default()
    };
    Lgbm::load(&timestamps(), settings).unwrap()
}

fn predict(model: &mut Lgbm, data_type: DataType, inputs: &[Vec<u8>]) -> Predictions {
    let batch = Batch {
        data_type,
        inputs: inputs.iter().map(Vec::as_slice).collect(),
    };
    model.predict(&batch).unwrap()
}

#[test]
fn times_have_the_scores_of_the_python_package() {
    let reference = Reference::load();
    // The batch has many blocks of rows.
    let inputs: Vec<_> = reference.inputs().into_iter().cycle().take(1003).collect();
    for threads in [1, 3] {
        let mut model = load(true, threads);
        assert_eq!(model.info().output_type, DataType::Doubles);
        assert_eq!(model.info().input_shape, [2]);
        let answers = predict(&mut model, DataType::Doubles, &inputs);
        assert_eq!(answers.len(), inputs.len());
        for (answer, expected) in answers.iter().zip(reference.predictions.iter().cycle()) {
            let Ok(Output::Doubles(scores)) = answer else {
                panic!("{answer:?}");
            };
            assert!((scores[0] - expected).abs() <= 1e-12, "{scores:?}");
        }
    }
}

#[test]
fn an_input_of_another_length_or_type_fails_alone() {
    let reference = Reference::load();
    let mut inputs = reference.inputs()[..4].to_vec();
    let mut model = load(true, 1);
    let expected = predict(&mut model, DataType::Doubles, &inputs);
    inputs[1].truncate(8);
    let answers = predict(&mut model, DataType::Doubles, &inputs);
    let reason = "an input must be 2 doubles (16 bytes), this one has 8 bytes";
    assert_eq!(answers[1], Err(InputError(reason.into())));
    assert_eq!(answers[2..], expected[2..]);
    let floats = predict(&mut model, DataType::Floats, &[vec![0; 8]]);
    assert!(floats[0].is_err());
}

/// Trains a regression model of one feature, on float64 values if `precise`, else on float32.
fn trained(values: &[f64], precise: bool) -> String {
    let labels: Vec<f32> = (0..values.len()).map(|row| (row % 7) as f32).collect();
    let data = match precise {
        true => Dataset::from_slice(values, &labels, 1, true),
        false => {
            let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            Dataset::from_slice(&values, &labels, 1, true)
        }
    };
    let parameters = json!({
        "objective": "regression", "num_iterations": 30, "num_leaves": 31, "min_data_in_leaf": 2, "num_threads": 1,
        "verbosity": -1,
    });
    let booster = Booster::train(data.unwrap(), &parameters).unwrap();
    booster.save_string().unwrap()
}

fn load_text(text: &str, doubles: bool) -> Lgbm {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lgbm.txt");
    fs::write(&path, text).unwrap();
    let settings = Settings {
        doubles,
        ..Settings::default()
    };
    Lgbm::load(&path, settings).unwrap()
}

fn loss(text: &str, doubles: bool) -> Option<String> {
    load_text(text, doubles).float32_loss().map(str::to_owned)
}

/// Returns 2,000 values each of times, ids, amounts in cents, and close numbers.
fn beyond_float32() -> Vec<(&'static str, Vec<f64>)> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut values = |name, low: f64, high: f64, unit: f64| {
        let value = |_| (random.random_range(low..high) / unit).round() * unit;
        (name, (0..2_000).map(value).collect())
    };
    vec![
        values("times of an hour", 1_700_000_000.0, 1_700_003_600.0, 1.0),
        values("times of a year", 1_700_000_000.0, 1_731_536_000.0, 1.0),
        values("times before 1970", -1_731_536_000.0, -1_700_000_000.0, 1.0),
        values("milliseconds", 1.7e12, 1.7e12 + 3.6e6, 1.0),
        values("ids", 20_000_000.0, 20_002_000.0, 1.0),
        values("ids from 0", 0.0, 4e9, 1.0),
        values("amounts", 30e6, 40e6, 0.01),
        values("close together", 1_000_000.0, 1_000_001.0, 0.01),
    ]
}

#[test]
fn models_that_need_doubles_report_the_loss() {
    for (name, values) in beyond_float32() {
        let text = trained(&values, true);
        let loss_of_floats = loss(&text, false);
        assert!(
            loss_of_floats
                .as_ref()
                .is_some_and(|loss| loss.starts_with("feature \"Column_0\" has ")),
            "{name}: {loss_of_floats:?}"
        );
        assert_eq!(loss(&text, true), None, "{name} as doubles");
    }
    let loss = load(false, 1).float32_loss().unwrap().to_owned();
    let expected = "feature \"Column_0\" has a threshold at 1700000889.0000002, where float32 numbers are 128 apart";
    assert_eq!(loss, expected);
}

#[test]
fn models_of_float32_or_ordinary_fractions_report_no_loss() {
    for (name, values) in beyond_float32() {
        assert_eq!(loss(&trained(&values, false), false), None, "{name}");
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let mut ordinary = Vec::new();
    for scale in [1e-30, 1e-3, 1.0, 255.0, 1e5, 1e9, 1e30] {
        // A skewed distribution, like amounts of money.
        let value = |_| scale * random.random_range(-4.0_f64..4.0).powi(9);
        ordinary.push((0..2_000).map(value).collect::<Vec<f64>>());
    }
    for values in &ordinary {
        let largest = values
            .iter()
            .fold(0.0, |largest: f64, v| largest.max(v.abs()));
        assert_eq!(loss(&trained(values, false), false), None, "to {largest:e}");
        if largest < 16_777_216.0 {
            assert_eq!(loss(&trained(values, true), false), None, "to {largest:e}");
        }
    }
    // These float64 values are all float32 numbers.
    let whole: Vec<f64> = (0..2_000).map(f64::from).collect();
    assert_eq!(loss(&trained(&whole, true), false), None);
}

/// Returns a model of one feature and one tree that includes these lines.
fn one_tree(feature_info: &str, lines: &str) -> String {
    let tree = format!(
        "Tree=0\nnum_leaves=2\nsplit_feature=0\nsplit_gain=1\nleft_child=-1\nright_child=-2\nleaf_value=1 2\n\
         leaf_weight=1 1\nleaf_count=1 1\ninternal_value=0\ninternal_weight=2\ninternal_count=2\n\
         {lines}shrinkage=1\n\n\n"
    );
    let header = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=0\n\
         objective=regression\nfeature_names=id\nfeature_infos={feature_info}\ntree_sizes={}\n\n",
        tree.len()
    );
    format!(
        "{header}{tree}end of trees\n\nfeature_importances:\n\nparameters:\nend of parameters\n"
    )
}

/// Returns a model, trained on the categories `trained`, whose output is 1 for those of `set`, else
/// 2.
fn by_category(set: &[usize], trained: &[usize]) -> String {
    let mut words = vec![0_u32; set.iter().max().unwrap() / 32 + 1];
    for category in set {
        words[category / 32] |= 1 << (category % 32);
    }
    let list = |numbers: Vec<String>, with: &str| numbers.join(with);
    let trained = trained.iter().map(usize::to_string).collect();
    let end = words.len();
    let words = list(words.iter().map(u32::to_string).collect(), " ");
    let lines = format!(
        "num_cat=1\nthreshold=0\ndecision_type=1\ncat_boundaries=0 {end}\ncat_threshold={words}\nis_linear=0\n"
    );
    one_tree(&format!("-1:{}", list(trained, ":")), &lines)
}

/// Returns a model whose output is 1 for numbers up to 0.5, and `coefficient` times others.
fn linear(range: &str, coefficient: f64) -> String {
    let lines = format!(
        "num_cat=0\nthreshold=0.5\ndecision_type=2\nis_linear=1\nleaf_const=1 0\nnum_features=0 1\n\
         leaf_features= 0 \nleaf_coeff= {coefficient} \n"
    );
    one_tree(range, &lines)
}

/// Returns LightGBM's score of `value`, as a float or as a double.
fn score(text: &str, doubles: bool, value: f64) -> f64 {
    load_text(text, doubles).scores(&[value]).unwrap()[0]
}

/// 2^24, to which float32 rounds the next whole number.
const WHOLE: usize = 1 << 24;

#[test]
fn categories_rounded_across_a_split_are_a_loss() {
    let two = [WHOLE, WHOLE + 1];
    for (set, trained) in [
        (&[WHOLE][..], &two[..]),
        (&[WHOLE + 1], &two),
        (&[WHOLE + 1], &[]),
    ] {
        let text = by_category(set, trained);
        let expected = "feature \"id\" has the category 16777217, which float32 rounds to 16777216";
        assert_eq!(loss(&text, false).as_deref(), Some(expected), "{set:?}");
        assert_eq!(loss(&text, true), None);
        let answers = [false, true].map(|doubles| score(&text, doubles, 16_777_217.0));
        assert_ne!(answers[0], answers[1], "{set:?}");
    }
}

#[test]
fn categories_that_stay_on_their_side_are_no_loss() {
    let two = [WHOLE, WHOLE + 1];
    let even = [WHOLE, WHOLE + 2, 2 * WHOLE + 4];
    for (set, trained) in [
        (&two[..], &two[..]),
        (&even[1..], &even),
        (&[7], &[5, 7, WHOLE + 1]),
        (&[7, WHOLE - 1], &[]),
    ] {
        let text = by_category(set, trained);
        assert_eq!(loss(&text, false), None, "{set:?}");
        for &category in set.iter().chain(trained) {
            let answers = [false, true].map(|doubles| score(&text, doubles, category as f64));
            assert_eq!(answers[0], answers[1], "{category} of {set:?}");
        }
    }
}

#[test]
fn linear_leaves_of_large_values_are_a_loss() {
    for (range, loss_text) in [
        (
            "[1699999999:1700000999]",
            "values up to 1700000999 in a linear leaf, where float32 numbers are 128 apart",
        ),
        (
            "[-16777216:5]",
            "values up to -16777216 in a linear leaf, where float32 numbers are 2 apart",
        ),
    ] {
        let text = linear(range, 0.25);
        let expected = format!("feature \"id\" has {loss_text}");
        assert_eq!(loss(&text, false), Some(expected));
        assert_eq!(loss(&text, true), None);
    }
    let text = linear("[1699999999:1700000999]", 0.25);
    let answers = [false, true].map(|doubles| score(&text, doubles, 1_700_000_500.0));
    assert_eq!(answers, [425_000_128.0, 425_000_125.0]);
}

#[test]
fn linear_leaves_of_small_or_unused_values_are_no_loss() {
    for (range, coefficient) in [
        ("[-16777215:16777215]", 0.25),
        ("[0:1700000999]", 0.0),
        ("none", 0.25),
    ] {
        let text = linear(range, coefficient);
        assert_eq!(loss(&text, false), None, "{range}");
    }
}

#[test]
fn a_tree_of_one_leaf_may_name_any_feature() {
    let splits = "split_feature=99999999999\nthreshold=1\ndecision_type=2\n";
    let text = one_tree("[0:1]", &format!("num_cat=0\nis_linear=0\n{splits}"))
        .replace("num_leaves=2", "num_leaves=1")
        .replace("leaf_value=1 2", "leaf_value=1  ");
    assert_eq!(loss(&text, false), None);
}
