//! Overload, on a virtual clock: whatever is offered, the replicas answer in time what they can.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use scheduler::{AdaptivePolicy, Rules};
use simulation::{Law, Outcome, Random, SimulatedCluster, Stream};

const SECOND: Duration = Duration::from_secs(1);

/// Time in which estimates and batch sizes settle.
const SETTLED: Duration = Duration::from_secs(3);

/// Offered loads, as shares of the capacity.
const LOADS: [f64; 8] = [0.5, 0.8, 0.9, 1.1, 1.5, 2.0, 5.0, 20.0];

fn ms(milliseconds: f64) -> Duration {
    Duration::from_secs_f64(milliseconds / 1e3)
}

/// One model under a steady load.
#[derive(Clone, Copy, Debug)]
struct Case {
    law: Law,
    /// Largest batch; `None` leaves it to the adaptive policy.
    max: Option<usize>,
    adaptive: AdaptivePolicy,
    objective: Duration,
    /// Offered load, as a share of the capacity.
    load: f64,
}

impl Case {
    /// Queries per second in full batches. An adaptive policy's full batch is the largest of which
    /// two, at their slowest, end within the objective.
    fn capacity(&self) -> f64 {
        let slowest = |size: usize| self.law.mean(size).mul_f64(1.0 + self.law.spread);
        let fits = |size: &usize| slowest(*size) * 2 <= self.objective;
        let adaptive = || (1..=4_096).take_while(fits).last().unwrap_or(1);
        self.law.capacity(self.max.unwrap_or_else(adaptive))
    }

    fn rules(&self) -> Rules {
        Rules {
            adaptive: self.adaptive,
            ..Rules::default()
        }
    }

    /// Runs until estimates have settled, and returns the outcome of the queries that arrive then.
    fn run(&self, seed: u64) -> Outcome {
        let mut cluster = SimulatedCluster::new(self.rules(), self.max, &[self.law], seed);
        let rate = self.load * self.capacity();
        cluster.offer(Stream::steady(self.objective, rate));
        let at_least = Duration::from_secs_f64(10_000.0 / rate);
        let measured = at_least.max(self.objective * 40).min(60 * SECOND);
        cluster.run(SETTLED..SETTLED + measured)[0]
    }

    /// Queries answered in time, divided by those that could be: the offered load or the capacity,
    /// whichever is less.
    fn goodput(&self, outcome: &Outcome) -> f64 {
        let attainable = outcome.offered as f64 * self.load.min(1.0) / self.load;
        outcome.in_time as f64 / attainable
    }
}

/// Share of the computed queries whose answer came too late.
fn late(outcome: &Outcome) -> f64 {
    outcome.late as f64 / outcome.computed.max(1) as f64
}

/// A random service-time law: 2 ms to 50 ms for a batch, and 1 % to 100 % of that for each query.
fn law(random: &mut Random, spread: f64) -> Law {
    let start = random.log_between(2.0, 50.0);
    Law {
        start: ms(start),
        each: ms(start * random.log_between(0.01, 1.0)),
        spread,
    }
}

#[test]
fn goodput_stays_at_capacity_over_a_thousand_service_time_laws() {
    let mut random = Random(7);
    let mut failed = Vec::new();
    for number in 0..1_008_usize {
        let spread = random.between(0.0, 0.2);
        let law = law(&mut random, spread);
        let max = random.log_between(1.0, 128.0) as usize;
        let case = Case {
            law,
            max: number.is_multiple_of(3).then_some(max),
            adaptive: match number % 3 {
                1 => AdaptivePolicy::Aimd,
                _ => AdaptivePolicy::Quantile,
            },
            objective: law.mean(max).mul_f64(random.log_between(5.0, 20.0)),
            load: LOADS[number / 3 % LOADS.len()],
        };
        let outcome = case.run(number as u64);
        let required = match case.load {
            20.0 => 0.8,
            _ => 0.9,
        };
        let (goodput, late) = (case.goodput(&outcome), late(&outcome));
        if goodput < required || late > 0.02 {
            failed.push(format!("{goodput:.3}, late {late:.4}: {case:?}"));
        }
    }
    assert!(
        failed.is_empty(),
        "{} of 1,008 laws:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// Goodput and late share of fixed and adaptive batches at every load, for a batch of 16 that takes
/// 18 ms.
#[test]
fn goodput_holds_for_every_policy_objective_and_load() {
    let mut failed = Vec::new();
    for spread in [0.0, 0.2] {
        let law = Law {
            start: ms(2.0),
            each: ms(1.0),
            spread,
        };
        let policies = [
            (Some(16), AdaptivePolicy::Aimd),
            (None, AdaptivePolicy::Aimd),
            (None, AdaptivePolicy::Quantile),
        ];
        for ((max, adaptive), times) in policies
            .into_iter()
            .flat_map(|policy| [3, 5, 20].map(|times| (policy, times)))
        {
            for load in LOADS {
                let case = Case {
                    law,
                    max,
                    adaptive,
                    objective: law.mean(16) * times,
                    load,
                };
                let outcome = case.run(1);
                let required = if load == 20.0 { 0.8 } else { 0.9 };
                let (goodput, late) = (case.goodput(&outcome), late(&outcome));
                if goodput < required || late > 0.02 {
                    failed.push(format!("{goodput:.3}, late {late:.4}: {case:?}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_queue_recovers_from_a_burst_within_two_objectives() {
    for adaptive in [AdaptivePolicy::Aimd, AdaptivePolicy::Quantile] {
        for max in [Some(16), None] {
            let law = Law {
                start: ms(2.0),
                each: ms(1.0),
                spread: 0.2,
            };
            let objective = ms(90.0);
            let rules = Rules {
                adaptive,
                ..Rules::default()
            };
            let mut cluster = SimulatedCluster::new(rules, max, &[law], 3);
            let usual = 0.5 * law.capacity(16);
            let (begins, ends) = (5 * SECOND, 6 * SECOND);
            cluster.offer(Stream {
                objective,
                rates: vec![
                    (Duration::ZERO, usual),
                    (begins, 10.0 * usual),
                    (ends, usual),
                ],
            });
            let recovered = ends + 2 * objective;
            let outcome = cluster.run(recovered..recovered + 2 * SECOND)[0];
            let share = outcome.in_time as f64 / outcome.offered as f64;
            assert!(share > 0.99, "{adaptive:?} {max:?}: {outcome:?}");
        }
    }
}

#[test]
fn two_objectives_on_one_model_share_an_overload() {
    for max in [Some(16), None] {
        let law = Law {
            start: ms(2.0),
            each: ms(1.0),
            spread: 0.2,
        };
        let mut cluster = SimulatedCluster::new(Rules::default(), max, &[law], 5);
        let capacity = law.capacity(16);
        cluster.offer(Stream::steady(ms(90.0), capacity));
        cluster.offer(Stream::steady(ms(900.0), capacity));
        let outcomes = cluster.run(SETTLED..SETTLED + 10 * SECOND);
        let share = |outcome: &Outcome| outcome.in_time as f64 / outcome.offered as f64;
        let shares: Vec<f64> = outcomes.iter().map(share).collect();
        assert!(
            shares.iter().all(|share| *share > 0.3),
            "{max:?}: {shares:?}"
        );
        assert!(shares.iter().sum::<f64>() > 0.9, "{max:?}: {shares:?}");
    }
}

#[test]
fn a_slow_replica_beside_a_fast_one_adds_its_capacity() {
    let law = |start: f64, each: f64| Law {
        start: ms(start),
        each: ms(each),
        spread: 0.1,
    };
    let (fast, slow) = (law(2.0, 0.2), law(20.0, 2.0));
    let run = |load: f64| {
        let mut cluster = SimulatedCluster::new(Rules::default(), Some(16), &[fast, slow], 9);
        let capacity = fast.capacity(16) + slow.capacity(16);
        cluster.offer(Stream::steady(ms(200.0), load * capacity));
        let outcome = cluster.run(SETTLED..SETTLED + 10 * SECOND)[0];
        outcome.in_time as f64 / (outcome.offered as f64 * load.min(1.0) / load)
    };
    for load in [0.3, 0.9, 1.5, 5.0] {
        let goodput = run(load);
        assert!(goodput > 0.95, "at {load} of the capacity: {goodput:.3}");
    }
}

/// The former quantile policy began with batches of one, all of which were late, and never grew.
#[test]
fn adaptive_policies_start_under_load() {
    for adaptive in [AdaptivePolicy::Aimd, AdaptivePolicy::Quantile] {
        let case = Case {
            law: Law {
                start: ms(20.0),
                each: ms(0.1),
                spread: 0.2,
            },
            max: None,
            adaptive,
            objective: ms(100.0),
            load: 1.0,
        };
        let mut cluster = SimulatedCluster::new(case.rules(), None, &[case.law], 11);
        cluster.offer(Stream::steady(case.objective, 500.0));
        let outcome = cluster.run(SETTLED..SETTLED + 10 * SECOND)[0];
        let share = outcome.in_time as f64 / outcome.offered as f64;
        assert!(share > 0.99, "{adaptive:?}: {outcome:?}");
    }
}
