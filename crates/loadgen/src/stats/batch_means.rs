//! Variance of the sum of a correlated series, by batch means.
//!
//! Neighbouring parts are merged into batches until the batches are no longer correlated. The
//! limits were chosen by simulation (`crates/validate`).

use super::average::{mean, squared_deviations};

/// Minimum number of batches.
pub const MIN_BATCHES: usize = 10;

/// Limit of the upper bound of the correlation between neighbouring batches.
const MAX_CORRELATION: f64 = 0.4;

/// Deviations of the parts of a window from their expected values, in the order of time.
#[derive(Clone, Debug)]
pub(super) struct Series(pub(super) Vec<f64>);

impl Series {
    /// Returns the smallest number of parts in a batch, from `smallest` on, at which neighbouring
    /// batches are not correlated; `None` if there is none with at least ten batches.
    pub(super) fn batch_size(&self, smallest: usize) -> Option<usize> {
        (smallest..=self.0.len() / MIN_BATCHES).find(|size| {
            let batches = self.batches(*size);
            let error = (batches.len() as f64).sqrt().recip();
            correlation(&batches) + error <= MAX_CORRELATION
        })
    }

    /// Returns the variance of the series' sum, as a bound that is exceeded less often the more
    /// `errors` of its standard errors are added; 0 gives the estimate itself.
    ///
    /// Batches of `smallest` parts and more are tried, and the lowest bound is returned: where a
    /// part is followed by its opposite, as a stall is by many answers, long batches vary least.
    pub(super) fn variance(&self, smallest: usize, errors: f64) -> f64 {
        let largest = (self.0.len() / MIN_BATCHES).max(smallest);
        let bounds = (smallest..=largest).map(|size| self.variance_by(size, errors));
        bounds.fold(f64::INFINITY, f64::min)
    }

    /// Returns the highest excess of a batch's variance over `expected`, the variance of one part
    /// if the parts are independent; 0 if there is none.
    pub(super) fn excess_at_edges(&self, expected: f64) -> f64 {
        let excess = (1..=self.0.len() / MIN_BATCHES).map(|size| {
            let batches = self.batches(size);
            let freedom = batches.len() as f64 - 1.0;
            squared_deviations(&batches) / freedom - size as f64 * expected
        });
        excess.fold(0.0, f64::max)
    }

    fn variance_by(&self, size: usize, errors: f64) -> f64 {
        let batches = self.batches(size);
        let count = batches.len() as f64;
        let variance = squared_deviations(&batches) / (count - 1.0);
        let centre = mean(&batches);
        let fourths = batches.iter().map(|batch| (batch - centre).powi(4));
        let kurtosis = (fourths.sum::<f64>() / count / variance.powi(2)).max(3.0);
        let bound = (errors * ((kurtosis - 1.0) / count).sqrt()).exp();
        let residual = 1.0 + 2.0 * correlation(&batches).max(0.0);
        self.0.len() as f64 / size as f64 * variance * residual * bound
    }

    /// Returns the sums of `size` parts each; the parts that remain at the end are left out.
    fn batches(&self, size: usize) -> Vec<f64> {
        let batches = self.0.chunks_exact(size);
        batches.map(|batch| batch.iter().sum()).collect()
    }
}

/// Returns the correlation between neighbours, from -1 to 1, corrected for the bias of a short
/// series.
fn correlation(batches: &[f64]) -> f64 {
    let mean = mean(batches);
    let products = batches
        .windows(2)
        .map(|two| (two[0] - mean) * (two[1] - mean));
    let squares = squared_deviations(batches);
    if squares > 0.0 {
        products.sum::<f64>() / squares + (batches.len() as f64).recip()
    } else {
        0.0
    }
}
