//! One steady load on a model server with a known service time: the case, its capacity, and the
//! reference on a virtual clock.

use std::time::Duration;

use scheduler::{AdaptivePolicy, Rules};
use simulation::{Law, Outcome, SimulatedCluster, Stream};

use crate::served::{Protocol, Server};

/// Time from the start in which the frontend must become steady. The measured window follows.
pub(crate) const SETTLED: Duration = Duration::from_secs(3);

/// Batch of the fixed policy.
pub(crate) const BATCH: usize = 16;

/// Runs of the simulation with other arrivals, whose mean is the reference.
const REFERENCES: u64 = 3;

/// The batch size: fixed, or the policy that finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// A maximum that the model's owner has set.
    Fixed(usize),
    Aimd,
    Quantile,
}

impl Policy {
    pub(crate) const ALL: [Policy; 3] = [Policy::Fixed(BATCH), Policy::Aimd, Policy::Quantile];

    pub(crate) fn max(self) -> Option<usize> {
        match self {
            Policy::Fixed(max) => Some(max),
            Policy::Aimd | Policy::Quantile => None,
        }
    }

    /// Value of the frontend's flag.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Policy::Fixed(_) | Policy::Aimd => "aimd",
            Policy::Quantile => "quantile",
        }
    }

    pub(crate) fn name(self) -> String {
        match self {
            Policy::Fixed(max) => max.to_string(),
            Policy::Aimd | Policy::Quantile => self.flag().to_owned(),
        }
    }

    fn adaptive(self) -> AdaptivePolicy {
        match self {
            Policy::Fixed(_) | Policy::Aimd => AdaptivePolicy::Aimd,
            Policy::Quantile => AdaptivePolicy::Quantile,
        }
    }
}

/// A steady load on one model.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) protocol: Protocol,
    /// Generation of the model server's protocol.
    pub(crate) rpc_version: u32,
    pub(crate) law: Law,
    pub(crate) policy: Policy,
    pub(crate) objective: Duration,
    /// Offered load, in queries per second.
    pub(crate) rate: f64,
}

/// The law of the issue: 2 ms, and 1 ms for each query.
pub(crate) fn law(spread: f64) -> Law {
    Law {
        start: Duration::from_millis(2),
        each: Duration::from_millis(1),
        spread,
    }
}

/// Queries per second in full batches. An adaptive policy's full batch is the largest of which two,
/// at their slowest, end within the objective.
pub(crate) fn capacity(law: &Law, policy: Policy, objective: Duration) -> f64 {
    let slowest = |size: usize| law.mean(size).mul_f64(1.0 + law.spread);
    let fits = |size: &usize| slowest(*size) * 2 <= objective;
    let adaptive = || (1..=4_096).take_while(fits).last().unwrap_or(1);
    law.capacity(policy.max().unwrap_or_else(adaptive))
}

impl Case {
    pub(crate) fn capacity(&self) -> f64 {
        capacity(&self.law, self.policy, self.objective)
    }

    pub(crate) fn load(&self) -> f64 {
        self.rate / self.capacity()
    }

    pub(crate) fn server(&self) -> Server {
        paced(&self.law, self.rpc_version)
    }

    /// Share of the attainable queries that the scheduler answers in time on a virtual clock: the
    /// reference.
    pub(crate) fn reference(&self, window: Duration) -> f64 {
        let shares = (0..REFERENCES).map(|seed| {
            let rules = Rules {
                adaptive: self.policy.adaptive(),
                ..Rules::default()
            };
            // A replica of version 3 takes one batch at a time.
            let in_flight = if self.rpc_version == 3 { 1 } else { 2 };
            let max = self.policy.max();
            let mut cluster =
                SimulatedCluster::with_batches_in_flight(in_flight, rules, max, &[self.law], seed);
            cluster.offer(Stream::steady(self.objective, self.rate));
            let Outcome {
                offered, in_time, ..
            } = cluster.run(SETTLED..SETTLED + window)[0];
            self.share(offered, in_time, window)
        });
        shares.sum::<f64>() / REFERENCES as f64
    }

    /// Queries answered in time, divided by those that could be: the offered ones or the capacity,
    /// whichever is less.
    pub(crate) fn share(&self, offered: u64, in_time: u64, window: Duration) -> f64 {
        let most = self.capacity() * window.as_secs_f64();
        in_time as f64 / (offered as f64).min(most)
    }
}

/// A model server that sleeps.
pub(crate) fn paced(law: &Law, rpc_version: u32) -> Server {
    Server {
        program: "paced",
        flags: vec![
            format!("--start={}", law.start.as_micros()),
            format!("--each={}", law.each.as_micros()),
            format!("--spread={}", law.spread),
        ],
        rpc_version,
    }
}
