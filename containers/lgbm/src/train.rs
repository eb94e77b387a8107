//! Learning.

use std::path::Path;

use lightgbm3::{Booster, Dataset};
use model::ClassifierError as Error;
use serde_json::json;

/// Rounds of boosting; each grows one tree per class.
const ITERATIONS: usize = 100;

/// Learns to tell `classes` classes apart, and writes the text model file at `path`.
///
/// `features` holds the points one after the other, `labels` the class of each, below `classes`. The same examples
/// give the same model.
///
/// # Errors
/// If the examples do not fit together, LightGBM cannot learn from them, or the file cannot be written.
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
        // LightGBM's own 20 would let no tree tell small classes apart.
        "min_data_in_leaf": (smallest * 2 / 3).clamp(1, 20),
        "feature_fraction": 0.1,
        "seed": 1,
        "deterministic": true,
        "force_col_wise": true,
        "num_threads": 1, // trees this small are grown before a second thread has woken up
        "verbosity": -1,
    });
    let booster = Booster::train(examples, &parameters).map_err(failed)?;
    // Not by LightGBM itself, which takes only paths in UTF-8.
    let text = booster.save_string().map_err(failed)?;
    std::fs::write(path, text).map_err(|source| Error::Io(path.to_owned(), source))
}

/// The number of features, if everything fits.
fn check(features: &[f32], labels: &[usize], classes: usize) -> Result<i32, String> {
    if classes < 2 || (0..classes).any(|class| !labels.contains(&class)) {
        return Err(format!(
            "{classes} classes: two are needed, and a point of each"
        ));
    }
    if let Some(label) = labels.iter().find(|&&label| label >= classes) {
        return Err(format!("label {label} is none of {classes} classes"));
    }
    let width = features.len() / labels.len();
    if width * labels.len() != features.len() {
        let (values, points) = (features.len(), labels.len());
        return Err(format!(
            "{values} values are no whole rows of {points} points"
        ));
    }
    i32::try_from(width).map_err(|_| format!("{width} features are too many"))
}
