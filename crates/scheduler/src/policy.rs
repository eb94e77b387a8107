//! Policies that find the largest batch size that meets the latency objective, for models without a
//! maximum batch size.
//!
//! Both policies are those of Clipper's papers (Crankshaw et al., NSDI 2017, section 4.3).

use std::{collections::VecDeque, time::Duration};

/// A policy that finds the largest batch size that meets the latency objective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdaptivePolicy {
    /// Additive increase, multiplicative decrease: one query more after each full batch that meets
    /// the objective, 10 % fewer after each batch that misses it.
    #[default]
    Aimd,
    /// The largest size whose 99th-percentile latency, estimated as a line over the size, meets the
    /// objective.
    Quantile,
}

/// Maximum batch size of every policy, in queries.
const MAX_SIZE: usize = 4_096;

/// Number of batches that an estimate is made from.
const WINDOW: usize = 256;

/// Number of batches between two estimates.
const REFIT_PERIOD: usize = 8;

/// The state of a replica's policy.
#[derive(Debug)]
pub(crate) enum SizePolicy {
    /// `max` is the batch size in queries; batches use its integral part.
    Aimd {
        max: f64,
    },
    Quantile(LatencyEstimate),
}

/// The size and time of an answered batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchSample {
    /// Number of queries.
    pub(crate) size: usize,
    /// Time from the start of the batch to its answer.
    pub(crate) took: Duration,
    /// Shortest latency objective among the queries.
    pub(crate) objective: Duration,
}

impl SizePolicy {
    pub(crate) fn new(adaptive: AdaptivePolicy) -> SizePolicy {
        match adaptive {
            AdaptivePolicy::Aimd => SizePolicy::Aimd { max: 1.0 },
            AdaptivePolicy::Quantile => SizePolicy::Quantile(LatencyEstimate::default()),
        }
    }

    /// Returns the maximum size of a batch that is sent now; `time_left` is the time until its
    /// first query's deadline.
    pub(crate) fn max(&self, time_left: Duration) -> usize {
        match self {
            SizePolicy::Aimd { max } => *max as usize,
            SizePolicy::Quantile(estimate) => estimate.max(time_left),
        }
    }

    /// Adapts the policy to an answered batch.
    pub(crate) fn record(&mut self, sample: BatchSample) {
        match self {
            SizePolicy::Aimd { max } => {
                if sample.took > sample.objective {
                    *max = (*max * 0.9).max(1.0);
                } else if sample.size >= *max as usize {
                    *max = (*max + 1.0).min(MAX_SIZE as f64);
                }
            }
            SizePolicy::Quantile(estimate) => estimate.record(sample),
        }
    }
}

/// Estimates the 99th percentile of a batch's time as a linear function of its size.
#[derive(Debug, Default)]
pub(crate) struct LatencyEstimate {
    /// Size in queries and time in seconds of the last [`WINDOW`] batches, the latest last.
    window: VecDeque<(f64, f64)>,
    /// Number of batches since the last estimate.
    since_fit: usize,
    /// Seconds at size 0, and seconds per query; `None` before the first batch.
    line: Option<(f64, f64)>,
    /// Size of the largest batch that met its objective.
    largest_in_time: usize,
}

impl LatencyEstimate {
    fn record(&mut self, sample: BatchSample) {
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        let point = (sample.size as f64, sample.took.as_secs_f64());
        self.window.push_back(point);
        if sample.took <= sample.objective {
            self.largest_in_time = self.largest_in_time.max(sample.size);
        }
        self.since_fit += 1;
        if self.since_fit >= REFIT_PERIOD || self.line.is_none() {
            self.since_fit = 0;
            self.line = Some(self.fit());
        }
    }

    /// Fits a line by least squares, then shifts it up until 99 % of the batches lie below it.
    fn fit(&self) -> (f64, f64) {
        let count = self.window.len() as f64;
        let mean =
            |value: fn(&(f64, f64)) -> f64| self.window.iter().map(value).sum::<f64>() / count;
        let (mean_size, mean_time) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = self
            .window
            .iter()
            .map(|point| (point.0 - mean_size).powi(2))
            .sum();
        let covariance = self
            .window
            .iter()
            .map(|point| (point.0 - mean_size) * (point.1 - mean_time));
        // If all batches have the same size, assume that the time is proportional to it.
        let slope = if spread > 0.0 {
            (covariance.sum::<f64>() / spread).max(0.0)
        } else {
            mean_time / mean_size.max(1.0)
        };
        let mut offsets: Vec<f64> = self
            .window
            .iter()
            .map(|point| point.1 - slope * point.0)
            .collect();
        offsets.sort_by(f64::total_cmp);
        let rank = (0.99 * (offsets.len() - 1) as f64).ceil() as usize;
        (offsets[rank], slope)
    }

    /// Returns the largest size that the estimate allows, at most twice the largest size that met
    /// its objective: the estimate is unreliable far from the sizes that it was made from.
    fn max(&self, time_left: Duration) -> usize {
        let Some((start, slope)) = self.line else {
            return 1;
        };
        let room = time_left.as_secs_f64() - start;
        let fits = if slope > 0.0 {
            room / slope
        } else if room > 0.0 {
            f64::INFINITY
        } else {
            0.0
        };
        let bound = (2 * self.largest_in_time).clamp(1, MAX_SIZE);
        (fits.max(1.0) as usize).min(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTIVE: Duration = Duration::from_millis(50);

    /// Runs batches of the policy's maximum size, which take 2 ms plus `per_query` per query.
    /// Returns the sizes.
    fn run(policy: &mut SizePolicy, batches: usize, per_query: Duration) -> Vec<usize> {
        (0..batches)
            .map(|_| {
                let size = policy.max(OBJECTIVE);
                let took = Duration::from_millis(2) + per_query * size as u32;
                policy.record(BatchSample {
                    size,
                    took,
                    objective: OBJECTIVE,
                });
                size
            })
            .collect()
    }

    #[test]
    fn both_policies_converge_and_follow_a_slower_model() {
        for adaptive in [AdaptivePolicy::Aimd, AdaptivePolicy::Quantile] {
            let mut policy = SizePolicy::new(adaptive);
            let sizes = run(&mut policy, 400, Duration::from_millis(1));
            assert_eq!(sizes[0], 1);
            // A batch of 48 takes 50 ms. AIMD oscillates between 10 % below and one above.
            let settled = &sizes[300..];
            assert!(
                settled.iter().all(|size| (43..=49).contains(size)),
                "{adaptive:?} {settled:?}"
            );
            let slowed = run(&mut policy, 400, Duration::from_millis(4));
            // A batch of 12 takes 50 ms.
            let settled = &slowed[300..];
            assert!(
                settled.iter().all(|size| (10..=13).contains(size)),
                "{adaptive:?} {settled:?}"
            );
        }
    }

    #[test]
    fn aimd_grows_only_after_a_full_batch() {
        let mut policy = SizePolicy::new(AdaptivePolicy::Aimd);
        run(&mut policy, 9, Duration::from_millis(1));
        let before = policy.max(OBJECTIVE);
        let took = Duration::from_millis(1);
        policy.record(BatchSample {
            size: before - 1,
            took,
            objective: OBJECTIVE,
        });
        assert_eq!(policy.max(OBJECTIVE), before);
    }

    #[test]
    fn quantile_policy_respects_the_time_left() {
        let mut policy = SizePolicy::new(AdaptivePolicy::Quantile);
        run(&mut policy, 100, Duration::from_millis(1));
        let fits = policy.max(Duration::from_millis(22));
        assert!((19..=20).contains(&fits), "{fits}");
        assert_eq!(policy.max(Duration::ZERO), 1);
    }

    #[test]
    fn batch_size_is_bounded_for_an_instant_model() {
        for adaptive in [AdaptivePolicy::Aimd, AdaptivePolicy::Quantile] {
            let mut policy = SizePolicy::new(adaptive);
            for _ in 0..2 * MAX_SIZE {
                let size = policy.max(OBJECTIVE);
                policy.record(BatchSample {
                    size,
                    took: Duration::ZERO,
                    objective: OBJECTIVE,
                });
            }
            assert_eq!(policy.max(OBJECTIVE), MAX_SIZE, "{adaptive:?}");
        }
    }
}
