//! Two sweeps against each other: what has changed at each point, and whether that is more than chance.

use std::collections::BTreeSet;

use crate::{
    results::{self, Estimate, PointResult, Points, ReplicaResult, Shape, Speed, Status},
    stats::interval,
};

/// Sweep B as seen from sweep A.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The points that both have, in order of their shapes.
    pub points: Vec<Pair>,
    /// Those that only A has.
    pub only_a: Vec<Shape>,
    /// Those that only B has.
    pub only_b: Vec<Shape>,
    /// What differs between A and B, other than the versions, and may be what has changed the numbers; in words.
    pub unfair: Vec<String>,
}

/// A point that both sweeps have.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// What was asked for.
    pub shape: Shape,
    /// The worst verdict in A and in B. Rounds that are INVALID are left out of the figures.
    pub status: [Status; 2],
    /// The rate of the first phase: in a closed loop, the throughput; absent if one side has no valid round.
    pub throughput: Option<Change>,
    /// The p99 that answers for the point's latency. In a profile it is of a share of each side's own throughput. Absent
    /// if a side cannot state one.
    pub p99: Option<Change>,
}

/// How a figure has changed from A to B.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// A's figure: over several rounds, the geometric mean.
    pub a: f64,
    /// B's figure.
    pub b: f64,
    /// B over A with its 95 % interval: above 1 is more in B. Between rounds, if both have several; else from the intervals
    /// of the figures, which do not know how much one deployment differs from the next; without bounds where those have
    /// none.
    pub ratio: Estimate,
    /// How many rounds each figure is of.
    pub rounds: [usize; 2],
}

/// Compares B with A, point by point.
pub fn compare(a: &[PointResult], b: &[PointResult]) -> Comparison {
    let [of_a, of_b] = [a, b].map(results::by_shape);
    let only = |these: &Points<'_>, those: &Points<'_>| {
        let shapes = these.keys().filter(|shape| !those.contains_key(shape));
        shapes.cloned().collect()
    };
    let pairs = of_a.iter().filter_map(|(shape, a)| {
        let b = of_b.get(shape)?;
        Some(Pair::of(shape, a, b))
    });
    Comparison {
        points: pairs.collect(),
        only_a: only(&of_a, &of_b),
        only_b: only(&of_b, &of_a),
        unfair: unfair(a, b),
    }
}

impl Pair {
    fn of(shape: &Shape, a: &[&PointResult], b: &[&PointResult]) -> Pair {
        let worst = |rounds: &[&PointResult]| {
            let status = rounds.iter().map(|round| round.verdict.status).max();
            status.unwrap_or(Status::Valid)
        };
        let change = |read: fn(&Speed) -> Option<Estimate>| {
            let figures = |rounds: &[&PointResult]| -> Vec<Estimate> {
                let valid = rounds
                    .iter()
                    .filter(|r| r.verdict.status != Status::Invalid);
                let speeds = valid.filter_map(|round| round.speed());
                speeds.filter_map(read).collect()
            };
            Change::between(&figures(a), &figures(b))
        };
        Pair {
            shape: shape.clone(),
            status: [worst(a), worst(b)],
            throughput: change(|speed| Some(speed.phases.first()?.throughput)),
            p99: change(|speed| Some(speed.latency()?.latency.as_ref()?.percentile(0.99)?.ms)),
        }
    }
}

impl Change {
    /// From A's rounds to B's; `None` if one has none, or a figure is zero.
    fn between(a: &[Estimate], b: &[Estimate]) -> Option<Change> {
        let logs = [a, b].map(|side| {
            side.iter()
                .map(|figure| figure.value.ln())
                .collect::<Vec<_>>()
        });
        let means = logs.each_ref().map(|logs| interval::mean(logs));
        means.iter().all(|mean| mean.is_finite()).then_some(())?;
        let ratio = means[1] - means[0];
        let ends = match a.len() > 1 && b.len() > 1 {
            true => Some(welch(&logs[0], &logs[1])).map(|half| (ratio - half, ratio + half)),
            false => Option::zip(reach(a), reach(b)).map(|(a, b)| {
                // The difference of two intervals that are not symmetric: each end is as far as the two that make it.
                (
                    ratio - f64::hypot(b.down, a.up),
                    ratio + f64::hypot(b.up, a.down),
                )
            }),
        };
        Some(Change {
            a: means[0].exp(),
            b: means[1].exp(),
            ratio: Estimate {
                value: ratio.exp(),
                low: ends.map(|(low, _)| low.exp()),
                high: ends.map(|(_, high)| high.exp()),
            },
            rounds: [a.len(), b.len()],
        })
    }

    /// True if the interval leaves out 1: there is a change, if 95 % are enough.
    pub fn is_significant(&self) -> bool {
        let above = self.ratio.low.is_some_and(|low| low > 1.0);
        above || self.ratio.high.is_some_and(|high| high < 1.0)
    }
}

/// Half of the 95 % interval of the difference of two means, by Welch: the sides may vary differently.
fn welch(a: &[f64], b: &[f64]) -> f64 {
    let [of_a, of_b] = [a, b].map(|side| {
        let freedom = side.len() as f64 - 1.0;
        (
            interval::squares(side) / freedom / side.len() as f64,
            freedom,
        )
    });
    let variance = of_a.0 + of_b.0;
    if variance == 0.0 {
        return 0.0;
    }
    let freedom = variance.powi(2) / (of_a.0.powi(2) / of_a.1 + of_b.0.powi(2) / of_b.1);
    interval::student(freedom) * variance.sqrt()
}

/// How far the logarithm of the geometric mean of some figures may be from the truth, either way.
struct Reach {
    down: f64,
    up: f64,
}

/// `None` if a figure has no interval.
fn reach(figures: &[Estimate]) -> Option<Reach> {
    let mut squares = Reach { down: 0.0, up: 0.0 };
    for figure in figures {
        let (low, high) = (figure.low.filter(|low| *low > 0.0)?, figure.high?);
        squares.down += (figure.value / low).ln().powi(2);
        squares.up += (high / figure.value).ln().powi(2);
    }
    let count = figures.len() as f64;
    Some(Reach {
        down: squares.down.sqrt() / count,
        up: squares.up.sqrt() / count,
    })
}

/// Reads one property of a result, in words.
type Property = fn(&PointResult) -> String;

/// What both sweeps must have in common.
const COMMON: [(&str, Property); 11] = [
    ("processor", |r| r.machine.cpu.clone()),
    ("cores of the machine", |r| r.machine.cores.to_string()),
    ("cores allowed", |r| r.machine.allowed_cores.clone()),
    ("kernel", |r| r.machine.kernel.clone()),
    ("build", |r| r.versions.profile.clone()),
    ("cores shared", |r| r.pinning.clone()),
    ("inputs", |r| r.driver.inputs.clone()),
    ("client threads", |r| r.driver.num_clients.to_string()),
    ("seconds under load", |r| {
        r.driver.duration_seconds.to_string()
    }),
    ("objective", |r| {
        let enforced = if r.has_objective() {
            " ms, enforced"
        } else {
            " ms"
        };
        r.driver
            .objective_ms
            .map_or("none".to_owned(), |ms| format!("{ms}{enforced}"))
    }),
    ("artifact", |r| {
        let mut artifacts = r.replicas.iter().filter_map(ReplicaResult::artifact);
        artifacts
            .next()
            .map_or(String::new(), |a| format!("{} ({})", a.file, a.provenance))
    }),
];

fn unfair(a: &[PointResult], b: &[PointResult]) -> Vec<String> {
    let differs = |(name, read): (&str, Property)| {
        let values =
            |results: &[PointResult]| -> BTreeSet<String> { results.iter().map(read).collect() };
        let (of_a, of_b) = (values(a), values(b));
        let show = |values: BTreeSet<String>| Vec::from_iter(values).join(" / ");
        (of_a != of_b).then(|| format!("{name}: {} in A, {} in B", show(of_a), show(of_b)))
    };
    COMMON.into_iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{
        Reason, Verdict,
        fixture::{phase, whole},
    };
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;
    use rand_xoshiro::Xoshiro256PlusPlus;

    /// A point with this throughput, good to 3 %.
    fn point(qps: f64) -> PointResult {
        let mut result = whole();
        phase(&mut result).throughput = figure(qps);
        result
    }

    fn figure(value: f64) -> Estimate {
        Estimate {
            value,
            low: Some(0.97 * value),
            high: Some(1.03 * value),
        }
    }

    fn throughput(a: &[f64], b: &[f64]) -> Change {
        let [a, b] = [a, b].map(|side| side.iter().map(|qps| point(*qps)).collect::<Vec<_>>());
        compare(&a, &b).points[0].throughput.unwrap()
    }

    #[test]
    fn one_round_each_is_compared_by_the_intervals_of_its_figures() {
        let change = throughput(&[200.0], &[220.0]);
        assert!((change.ratio.value - 1.1).abs() < 1e-9, "{change:?}");
        assert!((change.a - 200.0).abs() < 1e-9 && (change.b - 220.0).abs() < 1e-9);
        // Two intervals of 3 % are one of 4.3 %.
        assert!(
            (change.ratio.low.unwrap() - 1.1 * 0.958).abs() < 1e-3,
            "{change:?}"
        );
        assert!(
            (change.ratio.high.unwrap() - 1.1 * 1.044).abs() < 1e-3,
            "{change:?}"
        );
        assert!(change.is_significant());
        assert!(throughput(&[220.0], &[200.0]).is_significant());
        assert!(!throughput(&[200.0], &[206.0]).is_significant());
    }

    #[test]
    fn several_rounds_each_are_compared_by_how_they_differ_and_not_by_their_own_intervals() {
        let apart = throughput(&[200.0, 201.0, 199.0], &[204.0, 205.0, 206.0]);
        assert_eq!(apart.rounds, [3, 3]);
        assert!(apart.is_significant(), "{apart:?}");
        let mixed = throughput(&[200.0, 240.0, 170.0], &[260.0, 200.0, 230.0]);
        assert!(!mixed.is_significant(), "{mixed:?}");
    }

    #[test]
    fn welchs_interval_is_that_of_a_numeric_integration() {
        // Variances of the means 2 and 0.833, 6.52 degrees of freedom, of which the factor is 2.4005.
        let half = welch(&[1.0, 3.0, 5.0, 7.0, 9.0], &[1.0, 2.0, 4.0, 5.0]);
        assert!((half - 4.0406).abs() < 1e-3, "{half}");
        assert_eq!(welch(&[1.0, 1.0], &[2.0, 2.0]), 0.0);
    }

    #[test]
    fn without_a_change_one_comparison_in_twenty_finds_one() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let mut found = 0;
        for _ in 0..2000 {
            let mut rounds = |count, spread: f64| -> Vec<Estimate> {
                let noise = |_| (spread * random.sample::<f64, _>(StandardNormal)).exp();
                (0..count).map(noise).map(figure).collect()
            };
            let (a, b) = (rounds(5, 0.02), rounds(4, 0.06));
            found += usize::from(Change::between(&a, &b).unwrap().is_significant());
        }
        // 100 are expected, give or take 20.
        assert!((70..130).contains(&found), "{found}");
    }

    #[test]
    fn a_round_that_is_invalid_is_no_figure_but_the_verdict_is_said() {
        let mut invalid = point(1e6);
        invalid.verdict = Verdict::of(vec![Reason {
            status: Status::Invalid,
            check: String::new(),
            text: String::new(),
        }]);
        let comparison = compare(&[point(200.0)], &[point(200.0), invalid.clone()]);
        let pair = &comparison.points[0];
        assert_eq!(pair.status, [Status::Valid, Status::Invalid]);
        let change = pair.throughput.unwrap();
        assert!((change.ratio.value - 1.0).abs() < 1e-9 && change.rounds == [1, 1]);
        let pair = &compare(&[point(200.0)], &[invalid]).points[0];
        assert_eq!((pair.throughput, pair.p99), (None, None));
    }

    #[test]
    fn what_has_no_interval_has_a_ratio_without_bounds_that_is_not_significant() {
        let mut short = point(400.0);
        phase(&mut short).throughput.low = None;
        let change = compare(&[point(200.0)], &[short]).points[0]
            .throughput
            .unwrap();
        assert_eq!((change.ratio.low, change.ratio.high), (None, None));
        assert!((change.ratio.value - 2.0).abs() < 1e-9 && !change.is_significant());
    }

    #[test]
    fn a_p99_that_one_side_cannot_state_is_not_compared() {
        let mut short = whole();
        phase(&mut short)
            .latency
            .as_mut()
            .unwrap()
            .percentiles
            .pop();
        assert!(compare(&[whole()], &[whole()]).points[0].p99.is_some());
        assert_eq!(compare(&[whole()], &[short]).points[0].p99, None);
    }

    #[test]
    fn points_meet_by_what_was_asked_for_and_the_others_are_listed() {
        let with_batch = |size| {
            let mut result = whole();
            result.node_configs[0].batch_size = size;
            result
        };
        let comparison = compare(
            &[with_batch(1), with_batch(2)],
            &[with_batch(2), with_batch(4)],
        );
        let batches = |shapes: &[Shape]| shapes.iter().map(|s| s.batch_size).collect::<Vec<_>>();
        assert_eq!(comparison.points.len(), 1);
        assert_eq!(comparison.points[0].shape.batch_size, 2);
        assert_eq!(batches(&comparison.only_a), [1]);
        assert_eq!(batches(&comparison.only_b), [4]);
    }

    #[test]
    fn another_machine_or_setting_is_named_and_another_commit_is_not() {
        let mut other = whole();
        other.versions.commit = Some("abc".to_owned());
        assert_eq!(compare(&[whole()], &[other.clone()]).unfair, [""; 0]);
        other.machine.cores = 8;
        other.driver.objective_ms = Some(50.0);
        assert_eq!(
            compare(&[whole()], &[other]).unfair,
            [
                "cores of the machine: 4 in A, 8 in B",
                "objective: none in A, 50 ms in B"
            ]
        );
    }

    proptest! {
        #[test]
        fn the_way_back_is_the_inverse(
            a in prop::collection::vec(1.0..1e5_f64, 1..5),
            b in prop::collection::vec(1.0..1e5_f64, 1..5),
        ) {
            let (there, back) = (throughput(&a, &b), throughput(&b, &a));
            let inverse = |one: f64, other: f64| (one * other - 1.0).abs() < 1e-9;
            prop_assert!(inverse(there.ratio.value, back.ratio.value));
            prop_assert!(inverse(there.ratio.low.unwrap(), back.ratio.high.unwrap()));
            prop_assert!(there.ratio.low <= Some(there.ratio.value) && Some(there.ratio.value) <= there.ratio.high);
            prop_assert_eq!(there.is_significant(), back.is_significant());
        }
    }
}
