//! 95 % confidence intervals of percentiles, rates and shares, and means and medians.
//!
//! Consecutive values are seldom independent: queries that wait in one queue are late together. The
//! spread is therefore computed from the parts of a window, and neighbouring parts that are
//! correlated are merged first.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, StudentsT};

use super::Slice;

/// Value with its 95 % interval. The bounds are absent if the sample is too small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Estimated value.
    pub value: f64,
    /// Lower bound of the interval.
    pub low: Option<f64>,
    /// Upper bound of the interval.
    pub high: Option<f64>,
}

/// Part of a phase's window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Time from the window's opening to the beginning of this part, in seconds.
    pub begins: f64,
    /// Length in seconds.
    pub seconds: f64,
    /// Answers by the model that arrived in this part.
    pub ok: u64,
    /// Mean latency of those answers whose queries were sent inside the window, in milliseconds;
    /// absent without such answers, or if the phase was overloaded.
    pub mean_ms: Option<f64>,
    /// 99th percentile of the same latencies, in milliseconds.
    pub p99_ms: Option<f64>,
}

/// Probability in each tail of a 95 % interval.
const TAIL: f64 = 0.025;

/// Quantile of the standard normal distribution at `1 - TAIL`.
const NORMAL: f64 = 1.959_963_984_540_054;

/// Number of parts that a spread needs. With fewer, Student's factor is above 3 and the interval is
/// useless.
pub const MIN_PARTS: usize = 5;

/// Correlation above which neighbouring parts are merged. At 0.2 the interval is a fifth too
/// narrow.
const MAX_CORRELATION: f64 = 0.2;

/// Variance of a rank above which the normal approximation matches the binomial distribution to
/// half a rank.
const NORMAL_FROM: f64 = 100.0;

impl Estimate {
    /// Returns true if the interval is no wider than plus or minus this share of the value.
    pub fn is_within(&self, share: f64) -> bool {
        let (Some(low), Some(high)) = (self.low, self.high) else {
            return false;
        };
        let most = share * self.value;
        self.value - low <= most && high - self.value <= most
    }
}

impl Window {
    /// Removes the latencies.
    pub fn without_latency(&mut self) {
        (self.mean_ms, self.p99_ms) = (None, None);
    }
}

/// Returns a percentile in milliseconds of a histogram of microseconds. The interval lies between
/// two values of the sample, by order statistics, for any distribution.
///
/// `slices` are the sample's parts in time: if they differ more than by chance, the effective
/// sample is smaller. Without slices the values count as independent.
///
/// `None` if the interval of that many independent values would end outside the sample: the median
/// needs 6, p99 needs 368 and p999 needs 3,688. The bounds are absent if only the effective sample
/// is too small.
pub fn percentile(micros: &Histogram<u64>, slices: &[Slice], quantile: f64) -> Option<Estimate> {
    ranks(micros.len(), quantile)?;
    let point = micros.value_at_quantile(quantile);
    let independent = (micros.len() as f64 / excess_variance(slices, point)).floor();
    let stretch = micros.len() as f64 / independent;
    let at = |rank: u64| value_at_rank(micros, (rank as f64 * stretch).round() as u64) / 1e3;
    let bounds = ranks(independent as u64, quantile);
    Some(Estimate {
        value: point as f64 / 1e3,
        low: bounds.map(|(low, _)| at(low)),
        high: bounds.map(|(_, high)| at(high)),
    })
}

/// Returns the throughput in queries a second; the bounds are absent with fewer than five windows.
pub fn throughput(windows: &[Window]) -> Estimate {
    let seconds: f64 = windows.iter().map(|window| window.seconds).sum();
    let answers: u64 = windows.iter().map(|window| window.ok).sum();
    if seconds == 0.0 {
        return Estimate::default();
    }
    let rate = answers as f64 / seconds;
    let surplus = |window: &Window| window.ok as f64 - rate * window.seconds;
    match Spread::of(windows.iter().map(surplus).collect()) {
        Some(spread) => around(
            rate,
            student_factor(spread.freedom) * spread.of_sum.sqrt() / seconds,
        ),
        None => Estimate {
            value: rate,
            ..Estimate::default()
        },
    }
}

/// Returns `part` as a share of `of`, 0 to 1, with Wilson's interval; `None` if `of` is zero.
pub fn share(part: u64, of: u64) -> Option<Estimate> {
    let n = of as f64;
    let value = part as f64 / n;
    let square = NORMAL * NORMAL / n;
    let centre = (value + square / 2.0) / (1.0 + square);
    let half = (square * (value * (1.0 - value) + square / 4.0)).sqrt() / (1.0 + square);
    (of > 0).then(|| Estimate {
        value,
        low: Some((centre - half).max(0.0)),
        high: Some((centre + half).min(1.0)),
    })
}

/// Returns Student's factor: the half-width of a mean's 95 % interval in standard errors, by
/// degrees of freedom.
pub fn student_factor(freedom: f64) -> f64 {
    let student = StudentsT::new(0.0, 1.0, freedom).expect("at least one degree of freedom");
    student.inverse_cdf(1.0 - TAIL)
}

/// Returns `value` plus or minus `half`, with the lower bound cut at zero: no metric is negative.
fn around(value: f64, half: f64) -> Estimate {
    Estimate {
        value,
        low: Some((value - half).max(0.0)),
        high: Some(value + half),
    }
}

/// Returns the ranks, from 1, of the two values among `n` independent ones that bound the
/// quantile's interval. The number of values below the quantile has a binomial distribution.
fn ranks(n: u64, quantile: f64) -> Option<(u64, u64)> {
    let below = Binomial::new(quantile, n).expect("a quantile is a probability");
    let mean = n as f64 * quantile;
    let variance = mean * (1.0 - quantile);
    let (low, high) = if variance < NORMAL_FROM {
        (below.inverse_cdf(TAIL), below.inverse_cdf(1.0 - TAIL) + 1)
    } else {
        let half = NORMAL * variance.sqrt();
        (
            (mean - half).floor() as u64,
            (mean + half).ceil() as u64 + 1,
        )
    };
    (low >= 1 && high <= n).then_some((low, high))
}

/// Returns the value at this rank, in the histogram's unit.
fn value_at_rank(histogram: &Histogram<u64>, rank: u64) -> f64 {
    let mut steps = histogram.iter_recorded().scan(0, |seen, step| {
        *seen += step.count_at_value();
        Some((*seen, step.value_iterated_to()))
    });
    let found = steps.find(|(seen, _)| *seen >= rank);
    found.map_or(histogram.max(), |(_, value)| value) as f64
}

/// Returns the variance between slices of the share of values above `point`, relative to that of
/// independent values; at least 1.
fn excess_variance(slices: &[Slice], point: u64) -> f64 {
    let counts = slices.iter().map(|slice| {
        let above = slice.latency.count_between(point + 1, u64::MAX);
        (slice.latency.len() as f64, above as f64)
    });
    let counts: Vec<_> = counts.collect();
    let of: f64 = counts.iter().map(|(of, _)| of).sum();
    let share = counts.iter().map(|(_, above)| above).sum::<f64>() / of;
    let surplus = counts.iter().map(|(of, above)| above - share * of);
    let by_chance = of * share * (1.0 - share);
    match Spread::of(surplus.collect()) {
        Some(spread) if by_chance > 0.0 => (spread.of_sum / by_chance).max(1.0),
        _ => 1.0,
    }
}

/// Spread of the sum of a series.
struct Spread {
    /// Variance of the sum.
    of_sum: f64,
    /// Degrees of freedom of the variance.
    freedom: f64,
}

impl Spread {
    /// Computes the spread from the deviations of the parts, in order. `None` with fewer than
    /// [`MIN_PARTS`].
    fn of(mut parts: Vec<f64>) -> Option<Spread> {
        let count = parts.len() as f64;
        let mut size = 1.0;
        while parts.len() >= 2 * MIN_PARTS && correlation(&parts) > MAX_CORRELATION {
            parts = parts
                .chunks_exact(2)
                .map(|pair| pair[0] + pair[1])
                .collect();
            size *= 2.0;
        }
        let freedom = parts.len() as f64 - 1.0;
        (parts.len() >= MIN_PARTS).then(|| Spread {
            of_sum: count / size * squared_deviations(&parts) / freedom,
            freedom,
        })
    }
}

/// Returns the correlation between neighbours, from -1 to 1.
fn correlation(parts: &[f64]) -> f64 {
    let mean = mean(parts);
    let products = parts
        .windows(2)
        .map(|two| (two[0] - mean) * (two[1] - mean));
    let squares = squared_deviations(parts);
    if squares > 0.0 {
        products.sum::<f64>() / squares
    } else {
        0.0
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{AnswerSums, histogram};
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::{Distribution, Exp1, Poisson};
    use rand_xoshiro::Xoshiro256PlusPlus;

    /// Returns the share of trials whose interval contains the true value.
    fn coverage(truth: f64, mut trial: impl FnMut(&mut Xoshiro256PlusPlus) -> Estimate) -> f64 {
        const TRIALS: u32 = 1000;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        let holds = |Estimate { low, high, .. }: Estimate| {
            low.is_none_or(|low| low <= truth) && high.is_none_or(|high| truth <= high)
        };
        let held = (0..TRIALS).filter(|_| holds(trial(&mut random))).count();
        held as f64 / f64::from(TRIALS)
    }

    /// Returns a histogram of these milliseconds, and the same values in equal slices.
    fn sampled(slices: usize, millis: &[f64]) -> (Histogram<u64>, Vec<Slice>) {
        let mut whole = histogram();
        let slice = |part: &[f64]| {
            let mut latency = histogram();
            for ms in part {
                latency.record((ms * 1e3) as u64).unwrap();
            }
            whole.add(&latency).unwrap();
            let arrived = AnswerSums {
                ok: part.len() as u64,
                ..AnswerSums::default()
            };
            Slice { arrived, latency }
        };
        let slices = millis.chunks(millis.len() / slices).map(slice).collect();
        (whole, slices)
    }

    fn exponential(random: &mut Xoshiro256PlusPlus, count: usize) -> Vec<f64> {
        let draws = random.sample_iter::<f64, _>(Exp1);
        draws.take(count).map(|draw| 100.0 * draw).collect()
    }

    /// Returns response times of an M/M/1 queue at 70 % load, with a mean of 100 ms.
    fn queued(random: &mut Xoshiro256PlusPlus, count: usize) -> Vec<f64> {
        const SERVICE: f64 = 30.0;
        let mut waits = 0.0;
        let mut draw = |mean: f64| mean * random.sample::<f64, _>(Exp1);
        let mut next = || {
            let time = waits + draw(SERVICE);
            waits = f64::max(0.0, time - draw(SERVICE / 0.7));
            time
        };
        let times: Vec<_> = (0..500 + count).map(|_| next()).collect();
        times[500..].to_vec()
    }

    fn windows(counts: &[f64]) -> Vec<Window> {
        let window = |&count: &f64| Window {
            begins: 0.0,
            seconds: 1.0,
            ok: count as u64,
            mean_ms: None,
            p99_ms: None,
        };
        counts.iter().map(window).collect()
    }

    #[test]
    fn percentile_intervals_contain_the_true_value_in_95_percent() {
        for (quantile, count) in [(0.5, 60), (0.99, 1000), (0.95, 4000)] {
            let truth = 100.0 * -(1.0_f64 - quantile).ln();
            let alone = coverage(truth, |random| {
                let (whole, _) = sampled(1, &exponential(random, count));
                percentile(&whole, &[], quantile).unwrap()
            });
            // Ranks are whole numbers, so the coverage is never less; 1,000 trials are exact to
            // 0.014.
            assert!((0.936..0.98).contains(&alone), "{quantile}: {alone}");
            let in_slices = coverage(truth, |random| {
                let (whole, slices) = sampled(20, &exponential(random, count));
                percentile(&whole, &slices, quantile).unwrap()
            });
            assert!(
                (0.936..0.985).contains(&in_slices),
                "{quantile}: {in_slices}"
            );
        }
    }

    #[test]
    fn interval_of_queued_times_widens_with_the_slices_spread() {
        let truth = 100.0 * -(1.0_f64 - 0.9).ln();
        let [with, without] = [20, 0].map(|kept| {
            coverage(truth, |random| {
                let (whole, slices) = sampled(20, &queued(random, 6000));
                percentile(&whole, &slices[..kept], 0.9).unwrap()
            })
        });
        assert!(with > 0.9, "{with}");
        assert!(without < 0.6, "{without}");
    }

    #[test]
    fn percentile_needs_an_interval_that_ends_inside_the_sample() {
        for (quantile, enough) in [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368), (0.999, 3688)] {
            let stated = |count: usize| {
                let (whole, _) = sampled(1, &vec![1.0; count]);
                percentile(&whole, &[], quantile).is_some()
            };
            assert!(stated(enough) && !stated(enough - 1), "{quantile}");
        }
        assert_eq!(percentile(&histogram(), &[], 0.5), None);
    }

    #[test]
    fn values_clustered_in_time_leave_a_percentile_without_bounds() {
        let late: Vec<_> = (0..1000).map(|n| if n < 100 { 9.0 } else { 1.0 }).collect();
        let (whole, slices) = sampled(10, &late);
        let p90 = percentile(&whole, &slices, 0.9).unwrap();
        assert_eq!((p90.low, p90.high), (None, None));
    }

    #[test]
    fn normal_approximation_gives_the_ranks_of_the_binomial() {
        // Either side of the change from the binomial to the normal distribution.
        for (quantile, n) in [(0.5, 400), (0.99, 10_101), (0.999, 100_100)] {
            let [below, above] = [n - 2, n + 2].map(|n| ranks(n, quantile).unwrap());
            assert!(above.0.abs_diff(below.0) <= 5, "{below:?} {above:?}");
            assert!(above.1.abs_diff(below.1) <= 5, "{below:?} {above:?}");
        }
    }

    #[test]
    fn rate_intervals_contain_the_true_value_in_95_percent() {
        for count in [5, 10, 60] {
            let independent = coverage(200.0, |random| {
                let counts: Vec<f64> = random
                    .sample_iter(Poisson::new(200.0).unwrap())
                    .take(count)
                    .collect();
                throughput(&windows(&counts))
            });
            assert!(
                (0.93..0.98).contains(&independent),
                "{count}: {independent}"
            );
        }
        // Each window keeps half of the last one's deviation.
        let correlated = coverage(200.0, |random| {
            let mut deviation = 0.0;
            let mut next = || {
                deviation = 0.5 * deviation + Poisson::new(200.0).unwrap().sample(random) - 200.0;
                200.5 + deviation
            };
            let counts: Vec<f64> = (0..60).map(|_| next()).collect();
            throughput(&windows(&counts))
        });
        assert!((0.88..0.98).contains(&correlated), "{correlated}");
    }

    #[test]
    fn median_is_in_the_middle_or_between_two_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 8.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn four_windows_give_a_rate_without_an_interval() {
        let four = throughput(&windows(&[10.0, 20.0, 10.0, 20.0]));
        assert_eq!((four.value, four.low, four.high), (15.0, None, None));
        assert_eq!(throughput(&[]), Estimate::default());
    }

    #[test]
    fn student_factors_match_the_tables() {
        for (freedom, factor) in [(1.0, 12.706), (4.0, 2.776), (9.0, 2.262), (59.0, 2.001)] {
            assert!((student_factor(freedom) - factor).abs() < 5e-4, "{freedom}");
        }
    }

    #[test]
    fn share_intervals_contain_the_true_value_in_95_percent() {
        let held = coverage(0.01, |random| {
            let part = (0..500).filter(|_| random.random_bool(0.01)).count();
            share(part as u64, 500).unwrap()
        });
        assert!((0.92..0.99).contains(&held), "{held}");
        assert_eq!(share(0, 0), None);
        assert_eq!(share(0, 10).unwrap().low, Some(0.0));
    }

    proptest! {
        #[test]
        fn interval_contains_its_value_and_ends_inside_the_sample(
            millis in prop::collection::vec(0.001..1e6_f64, 20..2000),
            cuts in 1..20_usize,
            quantile in 0.2..0.99_f64,
        ) {
            let (whole, slices) = sampled(cuts, &millis);
            if let Some(Estimate { value, low: Some(low), high: Some(high) }) = percentile(&whole, &slices, quantile) {
                prop_assert!(low <= value && value <= high);
                prop_assert!(whole.min() as f64 / 1e3 <= low && high <= whole.max() as f64 / 1e3);
            }
        }

        #[test]
        fn rate_interval_contains_answers_over_seconds(counts in prop::collection::vec(0..10_000_u32, 5..100)) {
            let counts: Vec<f64> = counts.into_iter().map(f64::from).collect();
            let rate = throughput(&windows(&counts));
            prop_assert!((rate.value - mean(&counts)).abs() < 1e-6);
            prop_assert!(rate.low.unwrap() <= rate.value && rate.value <= rate.high.unwrap());
        }
    }
}
