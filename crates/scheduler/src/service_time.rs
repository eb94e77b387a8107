//! Estimates how long a replica takes for a batch, by the number of queries in it.
//!
//! The estimate is a mean for each size that was seen lately, and a line through all recent batches
//! for the other sizes. The margin is the ratio of the slowest recent batches to the estimate.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Weight of the latest batch in the mean of its size.
const SIZE_WEIGHT: f64 = 1.0 / 8.0;

/// Weight of the latest batch in the line.
const LINE_WEIGHT: f64 = 1.0 / 128.0;

/// Number of batches after which the mean of a size is out of date.
const FRESH: u64 = 512;

/// Number of recent batches that the margin is computed from.
const WINDOW: usize = 128;

/// Number of batches between two computations of the margin.
const REFIT: u64 = 8;

/// Share of the recent batches that end within the margin.
const QUANTILE: f64 = 0.99;

/// Factor on the quantile, because under overload all queries of a batch are due at its end.
const SAFETY: f64 = 1.03;

/// Time up to which a batch counts in full.
const SHORT: Duration = Duration::from_millis(1);

/// Largest multiple of its expected time that a longer batch counts with.
const STALLED: f64 = 4.0;

/// Margin while fewer than [`REFIT`] batches are known.
const FIRST_MARGIN: f64 = 1.25;

/// Largest margin: beyond it, a replica stalls rather than takes its time.
const LARGEST_MARGIN: f64 = 4.0;

/// Service time of one replica. All times are in seconds.
#[derive(Debug)]
pub(crate) struct ServiceTime {
    batches: u64,
    by_size: BTreeMap<usize, SizeMean>,
    line: Line,
    /// Recent batches' times, each divided by its estimate.
    ratios: VecDeque<f64>,
    margin: f64,
}

#[derive(Clone, Copy, Debug)]
struct SizeMean {
    seconds: f64,
    /// Number of batches before the latest one of this size.
    batch: u64,
}

impl Default for ServiceTime {
    fn default() -> ServiceTime {
        ServiceTime {
            batches: 0,
            by_size: BTreeMap::new(),
            line: Line::default(),
            ratios: VecDeque::with_capacity(WINDOW),
            margin: FIRST_MARGIN,
        }
    }
}

impl ServiceTime {
    /// Adds a batch of `size` queries that took this long. A batch that took far longer than expected
    /// was stalled: it counts as [`STALLED`] times its expected time, so that one stall does not spoil
    /// the estimate, and a lasting change is followed all the same.
    pub(crate) fn learn(&mut self, size: usize, took: Duration) {
        let most = self
            .expect(size)
            .map_or(took, |expected| expected.mul_f64(STALLED).max(SHORT));
        self.learn_in_full(size, took.min(most));
    }

    /// Adds a batch with its whole time, even if it was stalled.
    pub(crate) fn learn_in_full(&mut self, size: usize, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(expected) = self.seconds(size).filter(|expected| *expected > 0.0) {
            if self.ratios.len() == WINDOW {
                self.ratios.pop_front();
            }
            self.ratios.push_back(seconds / expected);
        }
        self.line.add(size as f64, seconds);
        let fresh = self
            .fresh(size)
            .map_or(seconds, |mean| mean + SIZE_WEIGHT * (seconds - mean));
        let batch = self.batches;
        self.by_size.insert(
            size,
            SizeMean {
                seconds: fresh,
                batch,
            },
        );
        self.batches += 1;
        if self.batches.is_multiple_of(REFIT) {
            self.margin = self.quantile();
        }
    }

    /// Number of batches that the estimate was computed from.
    pub(crate) fn batches(&self) -> u64 {
        self.batches
    }

    /// Expected time of a batch of `size` queries; `None` before the first batch.
    pub(crate) fn expect(&self, size: usize) -> Option<Duration> {
        self.seconds(size).map(Duration::from_secs_f64)
    }

    /// Time within which nearly every batch of `size` queries ends; `None` before the first batch.
    pub(crate) fn upper(&self, size: usize) -> Option<Duration> {
        let seconds = self.seconds(size)?;
        Some(Duration::from_secs_f64(seconds * self.margin))
    }

    fn seconds(&self, size: usize) -> Option<f64> {
        self.fresh(size).or_else(|| self.line.at(size as f64))
    }

    /// The mean of a size that was seen lately.
    fn fresh(&self, size: usize) -> Option<f64> {
        let mean = self.by_size.get(&size)?;
        (self.batches - mean.batch <= FRESH).then_some(mean.seconds)
    }

    fn quantile(&self) -> f64 {
        if self.ratios.len() + 1 < REFIT as usize {
            return FIRST_MARGIN;
        }
        let mut sorted: Vec<f64> = self.ratios.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let rank = (QUANTILE * (sorted.len() - 1) as f64).ceil() as usize;
        (sorted[rank] * SAFETY).clamp(1.0, LARGEST_MARGIN)
    }
}

/// Least squares of time over size, in which earlier batches count less and less.
#[derive(Debug, Default)]
struct Line {
    weight: f64,
    size: f64,
    seconds: f64,
    size_size: f64,
    size_seconds: f64,
}

impl Line {
    fn add(&mut self, size: f64, seconds: f64) {
        let keep = 1.0 - LINE_WEIGHT;
        self.weight = self.weight * keep + 1.0;
        self.size = self.size * keep + size;
        self.seconds = self.seconds * keep + seconds;
        self.size_size = self.size_size * keep + size * size;
        self.size_seconds = self.size_seconds * keep + size * seconds;
    }

    /// Seconds at a size; `None` of no batches. Never less than the same share of the mean batch's
    /// time would be for a larger one, nor more than the mean batch's time for a smaller one.
    fn at(&self, size: f64) -> Option<f64> {
        if self.weight == 0.0 {
            return None;
        }
        let (mean_size, mean) = (self.size / self.weight, self.seconds / self.weight);
        let spread = self.size_size / self.weight - mean_size * mean_size;
        // Batches of one size do not determine a slope: a larger one is taken to cost in
        // proportion, a smaller one as much.
        if spread < 0.01 * mean_size {
            return Some(mean * (size / mean_size).max(1.0));
        }
        let shared = self.size_seconds / self.weight - mean_size * mean;
        // A batch costs at least nothing at size 0.
        let slope = (shared / spread).clamp(0.0, mean / mean_size);
        Some(mean + slope * (size - mean_size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(batches: &[(usize, u64)]) -> ServiceTime {
        let mut time = ServiceTime::default();
        for (size, milliseconds) in batches {
            time.learn(*size, Duration::from_millis(*milliseconds));
        }
        time
    }

    fn near(got: Option<Duration>, milliseconds: f64) {
        let got = got.unwrap().as_secs_f64() * 1e3;
        assert!((got / milliseconds - 1.0).abs() < 1e-6, "{got} ms");
    }

    #[test]
    fn other_sizes_lie_on_the_line_through_those_seen() {
        let time = learnt(&[(2, 4), (10, 12), (4, 6)]);
        near(time.expect(4), 6.0);
        near(time.expect(1), 3.0);
        near(time.expect(20), 22.0);
    }

    #[test]
    fn batches_of_one_size_bound_the_others() {
        let time = learnt(&[(4, 8), (4, 8)]);
        near(time.expect(1), 8.0);
        near(time.expect(8), 16.0);
        assert_eq!(ServiceTime::default().expect(1), None);
    }

    #[test]
    fn the_margin_covers_nearly_all_recent_batches() {
        let even = learnt(&[(4, 100); 200]);
        near(even.upper(4), 103.0);
        let varied: Vec<_> = (0..400).map(|n| (4, 80 + 40 * (n % 2))).collect();
        let varied = learnt(&varied);
        let ratio = varied.upper(4).unwrap().as_secs_f64() / 0.1;
        assert!((1.15..1.35).contains(&ratio), "{ratio}");
    }

    #[test]
    fn one_stall_hardly_changes_the_estimate() {
        let mut time = learnt(&[(4, 10); 20]);
        time.learn(4, Duration::from_secs(1));
        assert!(time.expect(4).unwrap() < Duration::from_millis(14));
    }

    #[test]
    fn a_change_of_pace_is_followed_within_a_few_batches() {
        let mut batches = vec![(4, 10); 100];
        batches.extend([(4, 40); 20]);
        let time = learnt(&batches);
        assert!(time.expect(4).unwrap() > Duration::from_millis(35));
    }
}
