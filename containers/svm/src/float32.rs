//! Detects artifacts whose training points need double inputs.

use ndarray::ArrayView1;

use crate::{artifact::Contents, kernel::Parameters};

/// Largest distance by which float32 may move a point, as a share of the kernel's length (one over
/// the root of gamma).
const TOLERANCE: f64 = 1e-3;

/// Describes the first training point that float32 moves too far; `None` if there is none, as in an
/// artifact of float32 arrays.
pub(crate) fn loss(pca: &Parameters<f64>) -> Option<String> {
    let gammas = pca.gamma.broadcast(pca.points.ncols());
    let gammas = gammas.expect("one gamma, or one per feature");
    let distance = |row: ArrayView1<f64>| -> f64 {
        let parts = row.iter().zip(gammas);
        let squares =
            parts.map(|(&value, gamma)| gamma * (value - f64::from(value as f32)).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let mut rows = pca.points.rows().into_iter().map(distance).enumerate();
    let (index, distance) = rows.find(|(_, distance)| *distance > TOLERANCE)?;
    Some(format!(
        "float32 moves training point {index} by {distance:.1e} of the kernel's length"
    ))
}

/// Returns the name of the first array with values out of float32's range: too large, or a gamma
/// that becomes zero.
pub(crate) fn overflow(contents: &Contents) -> Option<String> {
    let is_large = |value: &f64| (*value as f32).is_infinite();
    let is_invalid = |gamma: &f64| is_large(gamma) || *gamma as f32 == 0.0;
    let stages = [("pca", &contents.pca), ("svm", &contents.svm)];
    stages.iter().find_map(|(stage, part)| {
        let arrays = [
            ("points", part.points.iter().any(is_large)),
            ("weights", part.weights.iter().any(is_large)),
            ("offsets", part.offsets.iter().any(is_large)),
            ("gamma", part.gamma.iter().any(is_invalid)),
        ];
        let (array, _) = arrays.into_iter().find(|(_, overflows)| *overflows)?;
        Some(format!("{stage}.{array}"))
    })
}
