//! Effective sample size of a percentile, from the exceedances over time.
//!
//! Queries that wait in one queue are late together, so the number of late ones varies more
//! between the slices of a window than that of independent queries.

use hdrhistogram::Histogram;

use super::{Slice, batch_means::Series};

/// Standard errors that are added to the variance of the exceedances.
const ERRORS: f64 = 0.9;

/// Standard errors that are added to the variance of another quantile's exceedances.
const OTHER_ERRORS: f64 = 0.1;

/// Minimum effective sample of the median: with fewer, the window is too short to show how long
/// queries are late together.
const MIN_MEDIAN: f64 = 80.0;

/// The same minimum for higher percentiles.
const MIN_HIGHER: f64 = 170.0;

/// Number of independent exceedances above which they alone give the variance.
const MANY: f64 = 10.0;

/// Lower quantiles, each with the ratio of a higher percentile's variance to its own. More queries
/// exceed them, so their variance is better known. In the queues of `crates/validate` the ratios
/// are 2.2 to 3.6 for the median, 1.3 to 2.3, 1.1 to 1.4 and 1.0 to 1.2.
const OTHERS: [OtherQuantile; 4] = [
    OtherQuantile::new(0.5, 2.2),
    OtherQuantile::new(0.75, 1.4),
    OtherQuantile::new(0.9, 1.15),
    OtherQuantile::new(0.95, 1.08),
];

/// Least variance relative to that of independent values. Stalls at regular intervals make it
/// small.
const LEAST: f64 = 0.1;

struct OtherQuantile {
    quantile: f64,
    ratio: f64,
}

impl OtherQuantile {
    const fn new(quantile: f64, ratio: f64) -> OtherQuantile {
        OtherQuantile { quantile, ratio }
    }
}

/// Exceedances of a value, by slice.
struct Exceedances {
    surplus: Series,
    /// Variance of their number if the values were independent.
    independent: f64,
}

/// Returns the number of independent values that say as much about the quantile as these, which
/// `slices` hold in the order of time; `None` if the window is too short to know.
pub(super) fn effective_sample(
    micros: &Histogram<u64>,
    slices: &[Slice],
    quantile: f64,
) -> Option<f64> {
    let point = micros.value_at_quantile(quantile);
    if Exceedances::over(point, slices).independent == 0.0 {
        // All values are equal, or the late ones were answered after the window.
        let equal = micros.max() <= micros.highest_equivalent(point);
        return equal.then_some(micros.len() as f64);
    }
    effective_sample_above(micros, slices, point)
}

/// Returns the same for the share of values above `point`.
pub(super) fn effective_sample_above(
    micros: &Histogram<u64>,
    slices: &[Slice],
    point: u64,
) -> Option<f64> {
    let count = micros.len() as f64;
    let late = micros.count_between(point + 1, u64::MAX) as f64;
    let quantile = 1.0 - late / count;
    let of = |quantile| Exceedances::over(micros.value_at_quantile(quantile), slices);
    let median = of(0.5);
    let mut size = 1;
    if median.independent > 0.0 {
        size = median.surplus.batch_size(1)?;
        let least = if quantile > 0.6 {
            MIN_HIGHER
        } else {
            MIN_MEDIAN
        };
        if count < least * median.excess(size, 0.0) {
            return None;
        }
    }
    let exceedances = Exceedances::over(point, slices);
    let mut excess = 1.0;
    if exceedances.independent > 0.0 {
        size = exceedances.surplus.batch_size(size)?;
        excess = exceedances.excess(size, ERRORS);
    }
    if late < MANY * excess {
        for OtherQuantile {
            quantile: other,
            ratio,
        } in OTHERS
        {
            let lower = of(other);
            if other < quantile && lower.independent > 0.0 {
                let size = lower.surplus.batch_size(size)?;
                excess = excess.max(ratio * lower.excess(size, OTHER_ERRORS));
            }
        }
    }
    Some(count / excess.max(LEAST))
}

impl Exceedances {
    fn over(point: u64, slices: &[Slice]) -> Exceedances {
        let above = |slice: &Slice| slice.latency.count_between(point + 1, u64::MAX) as f64;
        let above: Vec<f64> = slices.iter().map(above).collect();
        let all: f64 = slices.iter().map(|slice| slice.latency.len() as f64).sum();
        let share = above.iter().sum::<f64>() / all.max(1.0);
        let expected = slices
            .iter()
            .map(|slice| share * slice.latency.len() as f64);
        Exceedances {
            surplus: Series(above.iter().zip(expected).map(|(of, by)| of - by).collect()),
            independent: all * share * (1.0 - share),
        }
    }

    /// Returns the variance relative to that of independent values.
    fn excess(&self, size: usize, errors: f64) -> f64 {
        self.surplus.variance(size, errors) / self.independent
    }
}
