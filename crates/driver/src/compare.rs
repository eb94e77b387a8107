//! Two sweeps against each other: what has changed at each point, and whether that is more than chance.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    results::{Estimate, PointResult, ReplicaResult, Shape, Speed, Status},
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
    let [of_a, of_b] = [a, b].map(by_shape);
    let only = |these: &Points, those: &Points| {
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

type Points<'a> = BTreeMap<Shape, Vec<&'a PointResult>>;

fn by_shape(results: &[PointResult]) -> Points<'_> {
    let mut points = Points::new();
    for result in results {
        points.entry(result.shape()).or_default().push(result);
    }
    points
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
