//! How large a batch may be where the model's owner leaves it open: the largest that meets the latency objective.
//!
//! Both policies are those of Clipper's papers (Crankshaw et al., NSDI 2017, section 4.3).

use std::{collections::VecDeque, time::Duration};

/// A way to find the largest batch that meets the latency objective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adaptive {
    /// One query more with each full batch in time, a tenth fewer after one that is late.
    #[default]
    Aimd,
    /// As many as the 99th percentile of the latency, estimated as a line over the size, allows.
    Quantile,
}

/// However fast a model is, its batches end here.
const CEILING: usize = 4_096;

/// Batches that an estimate is made of.
const WINDOW: usize = 256;

/// Batches between two estimates.
const REFIT: usize = 8;

/// What a replica's policy has learnt of its batches.
#[derive(Debug)]
pub(crate) enum Policy {
    Aimd { max: f64 },
    Quantile(Estimate),
}

/// A batch that has been answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Queries in it.
    pub(crate) size: usize,
    pub(crate) took: Duration,
    /// The shortest latency objective of its queries.
    pub(crate) objective: Duration,
}

impl Policy {
    pub(crate) fn new(adaptive: Adaptive) -> Policy {
        match adaptive {
            Adaptive::Aimd => Policy::Aimd { max: 1.0 },
            Adaptive::Quantile => Policy::Quantile(Estimate::default()),
        }
    }

    /// The largest batch that may be sent now, when its first query has `left` until its deadline.
    pub(crate) fn max(&self, left: Duration) -> usize {
        match self {
            Policy::Aimd { max } => *max as usize,
            Policy::Quantile(estimate) => estimate.max(left),
        }
    }

    pub(crate) fn learn(&mut self, sample: Sample) {
        match self {
            Policy::Aimd { max } => {
                if sample.took > sample.objective {
                    *max = (*max * 0.9).max(1.0);
                } else if sample.size >= *max as usize {
                    *max = (*max + 1.0).min(CEILING as f64);
                }
            }
            Policy::Quantile(estimate) => estimate.learn(sample),
        }
    }
}

/// The 99th percentile of a batch's time as a line over its size.
#[derive(Debug, Default)]
pub(crate) struct Estimate {
    /// Size and seconds, the latest last.
    window: VecDeque<(f64, f64)>,
    since_fit: usize,
    /// Seconds: at size 0, and per query.
    line: Option<(f64, f64)>,
    largest: usize,
}

impl Estimate {
    fn learn(&mut self, sample: Sample) {
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        let point = (sample.size as f64, sample.took.as_secs_f64());
        self.window.push_back(point);
        if sample.took <= sample.objective {
            self.largest = self.largest.max(sample.size);
        }
        self.since_fit += 1;
        if self.since_fit >= REFIT || self.line.is_none() {
            self.since_fit = 0;
            self.line = Some(self.fit());
        }
    }

    /// Least squares, then moved up until 99 in 100 batches lie below it.
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
        let shared = self
            .window
            .iter()
            .map(|point| (point.0 - mean_size) * (point.1 - mean_time));
        // Batches of one size say nothing of another: then time is taken to grow in proportion.
        let slope = if spread > 0.0 {
            (shared.sum::<f64>() / spread).max(0.0)
        } else {
            mean_time / mean_size.max(1.0)
        };
        let mut above: Vec<f64> = self
            .window
            .iter()
            .map(|point| point.1 - slope * point.0)
            .collect();
        above.sort_by(f64::total_cmp);
        let rank = (0.99 * (above.len() - 1) as f64).ceil() as usize;
        (above[rank], slope)
    }

    /// At most twice what has been seen to be in time: an estimate is worth little far from its batches.
    fn max(&self, left: Duration) -> usize {
        let Some((start, slope)) = self.line else {
            return 1;
        };
        let room = left.as_secs_f64() - start;
        let fits = if slope > 0.0 {
            room / slope
        } else if room > 0.0 {
            f64::INFINITY
        } else {
            0.0
        };
        let bound = (2 * self.largest).clamp(1, CEILING);
        (fits.max(1.0) as usize).min(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTIVE: Duration = Duration::from_millis(50);

    /// Runs batches as large as the policy allows, which take 2 ms and 1 ms per query; answers the sizes.
    fn run(policy: &mut Policy, batches: usize, per_query: Duration) -> Vec<usize> {
        (0..batches)
            .map(|_| {
                let size = policy.max(OBJECTIVE);
                let took = Duration::from_millis(2) + per_query * size as u32;
                policy.learn(Sample {
                    size,
                    took,
                    objective: OBJECTIVE,
                });
                size
            })
            .collect()
    }

    #[test]
    fn both_policies_find_the_largest_batch_in_time_and_follow_a_model_that_slows_down() {
        for adaptive in [Adaptive::Aimd, Adaptive::Quantile] {
            let mut policy = Policy::new(adaptive);
            let sizes = run(&mut policy, 400, Duration::from_millis(1));
            assert_eq!(sizes[0], 1);
            // 48 take 50 ms. AIMD swings between a tenth below it and one above.
            let settled = &sizes[300..];
            assert!(
                settled.iter().all(|size| (43..=49).contains(size)),
                "{adaptive:?} {settled:?}"
            );
            let slowed = run(&mut policy, 400, Duration::from_millis(4));
            // 12 take 50 ms.
            let settled = &slowed[300..];
            assert!(
                settled.iter().all(|size| (10..=13).contains(size)),
                "{adaptive:?} {settled:?}"
            );
        }
    }

    #[test]
    fn batches_that_were_not_full_do_not_raise_the_limit_of_aimd() {
        let mut policy = Policy::new(Adaptive::Aimd);
        run(&mut policy, 9, Duration::from_millis(1));
        let before = policy.max(OBJECTIVE);
        let took = Duration::from_millis(1);
        policy.learn(Sample {
            size: before - 1,
            took,
            objective: OBJECTIVE,
        });
        assert_eq!(policy.max(OBJECTIVE), before);
    }

    #[test]
    fn the_estimate_takes_what_is_left_of_the_objective_into_account() {
        let mut policy = Policy::new(Adaptive::Quantile);
        run(&mut policy, 100, Duration::from_millis(1));
        let fits = policy.max(Duration::from_millis(22));
        assert!((19..=20).contains(&fits), "{fits}");
        assert_eq!(policy.max(Duration::ZERO), 1);
    }

    #[test]
    fn no_policy_runs_away_with_a_model_that_takes_no_time() {
        for adaptive in [Adaptive::Aimd, Adaptive::Quantile] {
            let mut policy = Policy::new(adaptive);
            for _ in 0..2 * CEILING {
                let size = policy.max(OBJECTIVE);
                policy.learn(Sample {
                    size,
                    took: Duration::ZERO,
                    objective: OBJECTIVE,
                });
            }
            assert_eq!(policy.max(OBJECTIVE), CEILING, "{adaptive:?}");
        }
    }
}
