//! Bounds on the batch size where the model's owner leaves it open.
//!
//! A policy only raises or lowers the bound; which queries of the queue fit into a batch in time is
//! decided for each batch ([`crate::selection`]). Both policies are those of Clipper's paper
//! (Crankshaw et al., NSDI 2017, section 4.3), except that a batch is late if a query's deadline
//! passed, so that waiting counts, and not only computing.

/// A way to find the largest batch that meets the latency objective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdaptivePolicy {
    /// Grows by one query, or an eighth, with each full batch in time; shrinks by a tenth with each
    /// late one.
    #[default]
    Aimd,
    /// As many queries as the estimated 99th percentile of the service time allows, and at most
    /// twice as many as have been in time.
    Quantile,
}

/// Largest batch of any adaptive policy.
const CEILING: usize = 4_096;

/// State of a replica's policy.
#[derive(Debug)]
pub(crate) enum SizePolicy {
    Aimd { max: f64 },
    Quantile { largest: usize },
}

impl SizePolicy {
    pub(crate) fn new(adaptive: AdaptivePolicy) -> SizePolicy {
        match adaptive {
            AdaptivePolicy::Aimd => SizePolicy::Aimd { max: 1.0 },
            AdaptivePolicy::Quantile => SizePolicy::Quantile { largest: 0 },
        }
    }

    /// Largest batch that may be sent.
    pub(crate) fn max(&self) -> usize {
        match self {
            SizePolicy::Aimd { max } => *max as usize,
            SizePolicy::Quantile { largest } => (2 * largest).clamp(1, CEILING),
        }
    }

    /// Learns from an answered batch of `size` queries; `in_time` if no deadline of its queries had
    /// passed.
    pub(crate) fn learn(&mut self, size: usize, in_time: bool) {
        match self {
            SizePolicy::Aimd { max } if !in_time => *max = (*max * 0.9).max(1.0),
            SizePolicy::Aimd { max } if size >= *max as usize => {
                *max = (*max + (*max / 8.0).max(1.0)).min(CEILING as f64);
            }
            SizePolicy::Quantile { largest } if in_time => *largest = (*largest).max(size),
            SizePolicy::Aimd { .. } | SizePolicy::Quantile { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aimd_grows_by_full_batches_and_shrinks_by_late_ones() {
        let mut policy = SizePolicy::new(AdaptivePolicy::Aimd);
        for size in (1..=8).chain([9, 10, 11, 12, 14]) {
            assert_eq!(policy.max(), size);
            policy.learn(size - 1, true);
            assert_eq!(policy.max(), size, "a batch that is not full");
            policy.learn(size, true);
        }
        assert_eq!(policy.max(), 16);
        policy.learn(16, false);
        assert_eq!(policy.max(), 14);
    }

    #[test]
    fn quantile_allows_twice_the_largest_batch_in_time() {
        let mut policy = SizePolicy::new(AdaptivePolicy::Quantile);
        assert_eq!(policy.max(), 1);
        policy.learn(8, true);
        policy.learn(16, false);
        assert_eq!(policy.max(), 16);
    }

    #[test]
    fn batches_end_at_the_ceiling() {
        for adaptive in [AdaptivePolicy::Aimd, AdaptivePolicy::Quantile] {
            let mut policy = SizePolicy::new(adaptive);
            for _ in 0..CEILING {
                policy.learn(policy.max(), true);
            }
            assert_eq!(policy.max(), CEILING, "{adaptive:?}");
        }
    }
}
