//! Training.

use std::path::Path;

use lightgbm3::{Booster, Dataset};
use model::ClassifierError as Error;
use serde_json::json;

/// Rounds of boosting; each grows one tree per class.
const ITERATIONS: usize = 100;

/// Trains a model for `classes` classes, and writes its text model file to `path`.
///
/// `features` holds the points one after the other, `labels` the class of each, below `classes`.
/// The same examples give the same model.
///
/// # Errors
/// If the examples are inconsistent, LightGBM cannot train on them, or the file cannot be written.
pub fn train(features: &[f32], labels: &[usize], classes: usize, path: &Path) -> Result<(), Error> {
    let width = check(features, labels, classes).map_err(Error::Training)?;
    let failed = |error: lightgbm3::Error| Error::Training(error.to_string());
    let targets: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
    let examples = Dataset::from_slice(features, &targets, width, true).map_err(failed)?;
    let smallest = (0..classes).map(|class| labels.iter().filter(|&&label| label == class).count());
    let smallest = smallest.min().unwrap_or_default();
    let parameters = json!({
        "objective": "multiclass",
        "num_class": classes,
        "num_iterations": ITERATIONS,
        "num_leaves": 7,
        // LightGBM's default of 20 would prevent splits between small classes.
        "min_data_in_leaf": (smallest * 2 / 3).clamp(1, 20),
        "feature_fraction": 0.1,
        "seed": 1,
        "deterministic": true,
        "force_col_wise": true,
        "num_threads": 1, // trees this small are finished before a second thread wakes up
        "verbosity": -1,
    });
    let booster = Booster::train(examples, &parameters).map_err(failed)?;
    // LightGBM itself would accept only UTF-8 paths.
    let text = booster.save_string().map_err(failed)?;
    std::fs::write(path, text).map_err(|source| Error::Io(path.to_owned(), source))
}

/// Returns the number of features, if the examples are consistent.
fn check(features: &[f32], labels: &[usize], classes: usize) -> Result<i32, String> {
    if classes < 2 || (0..classes).any(|class| !labels.contains(&class)) {
        return Err(format!(
            "{classes} classes: at least two are needed, with a point of each"
        ));
    }
    if let Some(label) = labels.iter().find(|&&label| label >= classes) {
        return Err(format!(
            "label {label} is not below {classes}, the number of classes"
        ));
    }
    let width = features.len() / labels.len();
    if width * labels.len() != features.len() {
        let (values, points) = (features.len(), labels.len());
        return Err(format!(
            "{values} values are not a multiple of {points} points"
        ));
    }
    i32::try_from(width).map_err(|_| format!("{width} features are too many"))
}
