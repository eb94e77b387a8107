//! Means, medians and squared deviations.

/// Returns the sum of squared deviations from the mean.
pub fn squared_deviations(parts: &[f64]) -> f64 {
    let mean = mean(parts);
    parts.iter().map(|part| (part - mean).powi(2)).sum()
}

/// Returns the mean; NaN for an empty slice.
pub fn mean(parts: &[f64]) -> f64 {
    parts.iter().sum::<f64>() / parts.len() as f64
}

/// Returns the median of values in any order: for an even number, the mean of the two in the
/// middle. `None` for an empty slice.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}
