//! Whether float32 can hold an artifact's training points.

use ndarray::ArrayView1;

use crate::{artifact::Contents, kernel::Parameters};

/// A point that float32 moves by more than this share of the kernel's length (one over the root of gamma) is lost.
const TOLERANCE: f64 = 1e-3;

/// The first training point that float32 moves too far, in words; `None` if there is none, as in an artifact of float32
/// arrays.
pub(crate) fn loss(pca: &Parameters<f64>) -> Option<String> {
    let gammas = pca.gamma.broadcast(pca.points.ncols());
    let gammas = gammas.expect("one gamma, or one each");
    let moved = |row: ArrayView1<f64>| -> f64 {
        let parts = row.iter().zip(gammas);
        let squares =
            parts.map(|(&value, gamma)| gamma * (value - f64::from(value as f32)).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let mut rows = pca.points.rows().into_iter().map(moved).enumerate();
    let (place, distance) = rows.find(|(_, distance)| *distance > TOLERANCE)?;
    Some(format!(
        "float32 moves training point {place} by {distance:.1e} of the kernel's length"
    ))
}

/// The first array with values that float32 cannot hold: too large, or a gamma that becomes zero.
pub(crate) fn beyond(contents: &Contents) -> Option<String> {
    let is_beyond = |value: &f64| (*value as f32).is_infinite();
    let is_lost = |gamma: &f64| is_beyond(gamma) || *gamma as f32 == 0.0;
    let stages = [("pca", &contents.pca), ("svm", &contents.svm)];
    stages.iter().find_map(|(stage, part)| {
        let arrays = [
            ("points", part.points.iter().any(is_beyond)),
            ("weights", part.weights.iter().any(is_beyond)),
            ("offsets", part.offsets.iter().any(is_beyond)),
            ("gamma", part.gamma.iter().any(is_lost)),
        ];
        let (array, _) = arrays.into_iter().find(|(_, is_beyond)| *is_beyond)?;
        Some(format!("{stage}.{array}"))
    })
}
