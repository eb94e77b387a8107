//! 95 % intervals: of a percentile, of a rate, of a share, of a mean.
//!
//! What comes one after the other is seldom independent: queries that wait in one queue are late together. So a spread
//! is read off the parts of a window, and neighbouring parts that resemble each other are put together first.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, StudentsT};

use super::Slice;

/// A number with its 95 % interval; without bounds where there is too little to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// The lower end.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

/// A part of a phase's window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Seconds from the window's opening to the beginning of this part.
    pub begins: f64,
    /// Its length in seconds.
    pub seconds: f64,
    /// Answers by the model that arrived in it.
    pub ok: u64,
    /// Mean latency of those that were sent inside the window, in milliseconds; absent if there is none, or the phase
    /// was overloaded.
    pub mean_ms: Option<f64>,
    /// The 99th percentile, likewise.
    pub p99_ms: Option<f64>,
}

/// Below the lower end, and again above the upper end, lies the truth with this probability.
const TAIL: f64 = 0.025;

/// The standard normal distribution's quantile at `1 - TAIL`.
const NORMAL: f64 = 1.959_963_984_540_054;

/// Parts that a spread is read off. With fewer, Student's factor is above 3 and says nothing.
pub const PARTS: usize = 5;

/// Neighbours with more correlation than this are put together. At 0.2 the interval is a fifth too narrow.
const CORRELATION: f64 = 0.2;

/// Above this variance of a rank, the normal distribution gives it as well as the binomial: to half a rank.
const LARGE: f64 = 100.0;

impl Estimate {
    /// True if its interval is no wider than plus or minus this share of it.
    pub fn is_within(&self, share: f64) -> bool {
        let (Some(low), Some(high)) = (self.low, self.high) else {
            return false;
        };
        let most = share * self.value;
        self.value - low <= most && high - self.value <= most
    }
}

impl Window {
    /// Forgets how long its answers took.
    pub fn without_latency(&mut self) {
        (self.mean_ms, self.p99_ms) = (None, None);
    }
}

/// A percentile in milliseconds of a histogram of microseconds, with the interval between two of the sample's values
/// that order statistics give, whatever the distribution. `slices` are the sample's parts in time: where they differ
/// more than by chance, the sample counts for fewer values than it has. Without any, its values are taken as
/// independent.
///
/// `None` if the interval of so many independent values would end outside of the sample: the median needs 6, p99 needs
/// 368 and p999 3,688. Without bounds, if only what they count for is too little.
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

/// Answers over time, in queries a second; without bounds below five windows.
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
            student(spread.freedom) * spread.of_sum.sqrt() / seconds,
        ),
        None => Estimate {
            value: rate,
            ..Estimate::default()
        },
    }
}

/// `part` of `of` as a share, 0 to 1, with Wilson's interval; `None` of nothing.
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

/// Student's factor: with this many degrees of freedom, a mean is so many standard errors from the truth at most.
pub fn student(freedom: f64) -> f64 {
    let student = StudentsT::new(0.0, 1.0, freedom).expect("at least one degree of freedom");
    student.inverse_cdf(1.0 - TAIL)
}

/// Nothing that is measured here is below zero.
fn around(value: f64, half: f64) -> Estimate {
    Estimate {
        value,
        low: Some((value - half).max(0.0)),
        high: Some(value + half),
    }
}

/// The ranks, from 1, of the values of `n` independent ones between which the quantile lies. The number of values below
/// it has a binomial distribution.
fn ranks(n: u64, quantile: f64) -> Option<(u64, u64)> {
    let below = Binomial::new(quantile, n).expect("a quantile is a probability");
    let mean = n as f64 * quantile;
    let variance = mean * (1.0 - quantile);
    let (low, high) = if variance < LARGE {
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

/// The value, in the histogram's unit, that `rank` values do not exceed.
fn value_at_rank(histogram: &Histogram<u64>, rank: u64) -> f64 {
    let mut steps = histogram.iter_recorded().scan(0, |seen, step| {
        *seen += step.count_at_value();
        Some((*seen, step.value_iterated_to()))
    });
    let found = steps.find(|(seen, _)| *seen >= rank);
    found.map_or(histogram.max(), |(_, value)| value) as f64
}

/// By what factor the share of values above `point` varies more between slices than between samples of independent
/// values; 1 at least.
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

/// How far the sum of a series varies.
struct Spread {
    /// The variance of the sum.
    of_sum: f64,
    /// Degrees of freedom behind it.
    freedom: f64,
}

impl Spread {
    /// Reads it off the deviations of the parts, in order. `None` if there are fewer than [`PARTS`].
    fn of(mut parts: Vec<f64>) -> Option<Spread> {
        let count = parts.len() as f64;
        let mut size = 1.0;
        while parts.len() >= 2 * PARTS && correlation(&parts) > CORRELATION {
            parts = parts
                .chunks_exact(2)
                .map(|pair| pair[0] + pair[1])
                .collect();
            size *= 2.0;
        }
        let freedom = parts.len() as f64 - 1.0;
        (parts.len() >= PARTS).then(|| Spread {
            of_sum: count / size * squares(&parts) / freedom,
            freedom,
        })
    }
}

/// Between neighbours: -1 to 1.
fn correlation(parts: &[f64]) -> f64 {
    let mean = mean(parts);
    let products = parts
        .windows(2)
        .map(|two| (two[0] - mean) * (two[1] - mean));
    let squares = squares(parts);
    if squares > 0.0 {
        products.sum::<f64>() / squares
    } else {
        0.0
    }
}

/// The sum of squared distances from the mean.
pub fn squares(parts: &[f64]) -> f64 {
    let mean = mean(parts);
    parts.iter().map(|part| (part - mean).powi(2)).sum()
}

/// The mean; of nothing, no number.
pub fn mean(parts: &[f64]) -> f64 {
    parts.iter().sum::<f64>() / parts.len() as f64
}

/// The median, in any order; of an even number, the mean of the two in the middle. `None` of nothing.
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
    use crate::stats::{Arrived, histogram};
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::{Distribution, Exp1, Poisson};
    use rand_xoshiro::Xoshiro256PlusPlus;

    /// The share of trials whose interval holds the truth.
    fn coverage(truth: f64, mut trial: impl FnMut(&mut Xoshiro256PlusPlus) -> Estimate) -> f64 {
        const TRIALS: u32 = 1000;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
        let holds = |Estimate { low, high, .. }: Estimate| {
            low.is_none_or(|low| low <= truth) && high.is_none_or(|high| truth <= high)
        };
        let held = (0..TRIALS).filter(|_| holds(trial(&mut random))).count();
        held as f64 / f64::from(TRIALS)
    }

    /// A histogram, and the same in equal slices, of milliseconds.
    fn sampled(slices: usize, millis: &[f64]) -> (Histogram<u64>, Vec<Slice>) {
        let mut whole = histogram();
        let slice = |part: &[f64]| {
            let mut latency = histogram();
            for ms in part {
                latency.record((ms * 1e3) as u64).unwrap();
            }
            whole.add(&latency).unwrap();
            let arrived = Arrived {
                ok: part.len() as u64,
                ..Arrived::default()
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

    /// The times in an M/M/1 queue at 70 % load, of which the mean is 100 ms.
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
    fn nineteen_in_twenty_intervals_of_a_percentile_hold_the_truth() {
        for (quantile, count) in [(0.5, 60), (0.99, 1000), (0.95, 4000)] {
            let truth = 100.0 * -(1.0_f64 - quantile).ln();
            let alone = coverage(truth, |random| {
                let (whole, _) = sampled(1, &exponential(random, count));
                percentile(&whole, &[], quantile).unwrap()
            });
            // Ranks are whole numbers, so it is never less; 1,000 trials are good to 0.014.
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
    fn in_a_queue_the_interval_is_as_wide_as_the_spread_between_slices_makes_it() {
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
    fn a_percentile_is_stated_from_that_many_values_on_that_its_interval_ends_inside_the_sample() {
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
    fn values_that_are_late_together_count_for_one_and_leave_a_percentile_without_bounds() {
        let late: Vec<_> = (0..1000).map(|n| if n < 100 { 9.0 } else { 1.0 }).collect();
        let (whole, slices) = sampled(10, &late);
        let p90 = percentile(&whole, &slices, 0.9).unwrap();
        assert_eq!((p90.low, p90.high), (None, None));
    }

    #[test]
    fn large_samples_have_the_ranks_that_small_ones_have() {
        // Either side of the change from the binomial to the normal distribution.
        for (quantile, n) in [(0.5, 400), (0.99, 10_101), (0.999, 100_100)] {
            let [below, above] = [n - 2, n + 2].map(|n| ranks(n, quantile).unwrap());
            assert!(above.0.abs_diff(below.0) <= 5, "{below:?} {above:?}");
            assert!(above.1.abs_diff(below.1) <= 5, "{below:?} {above:?}");
        }
    }

    #[test]
    fn nineteen_in_twenty_intervals_of_a_rate_hold_the_truth() {
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
    fn a_median_is_in_the_middle_or_between_two_values() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 8.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn four_windows_are_a_rate_without_an_interval() {
        let four = throughput(&windows(&[10.0, 20.0, 10.0, 20.0]));
        assert_eq!((four.value, four.low, four.high), (15.0, None, None));
        assert_eq!(throughput(&[]), Estimate::default());
    }

    #[test]
    fn students_factors_are_those_of_the_tables() {
        for (freedom, factor) in [(1.0, 12.706), (4.0, 2.776), (9.0, 2.262), (59.0, 2.001)] {
            assert!((student(freedom) - factor).abs() < 5e-4, "{freedom}");
        }
    }

    #[test]
    fn nineteen_in_twenty_intervals_of_a_share_hold_the_truth() {
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
        fn an_interval_holds_its_own_value_and_ends_inside_the_sample(
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
        fn the_interval_of_a_rate_is_around_answers_over_seconds(counts in prop::collection::vec(0..10_000_u32, 5..100)) {
            let counts: Vec<f64> = counts.into_iter().map(f64::from).collect();
            let rate = throughput(&windows(&counts));
            prop_assert!((rate.value - mean(&counts)).abs() < 1e-6);
            prop_assert!(rate.low.unwrap() <= rate.value && rate.value <= rate.high.unwrap());
        }
    }
}
