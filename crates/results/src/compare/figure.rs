//! Comparison of one figure in two sweeps.

use loadgen::{Arrivals, Estimate, stats::interval};

use crate::{
    rounds::Rounds,
    speed::{Phase, SearchResult, Speed},
    trial::Trial,
};

/// A figure in A and in B, and their ratio.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Name, for instance "the throughput".
    pub name: &'static str,
    /// Values in A and in B.
    pub sides: [FigureSide; 2],
    /// B divided by A with a 95 % interval. The interval is from the spread between rounds, if both
    /// have several; else from the intervals of the figures, which do not cover differences between
    /// deployments. It has no bounds if those have none, or if B's figure is 0. The error is the
    /// reason why there is no ratio.
    pub ratio: Result<Estimate, String>,
    /// Reason why the ratio lacks an interval.
    unbounded: Option<String>,
    /// Reason, if B's figure is 0: it then fails any lower limit, regardless of A's.
    pub zero: Option<String>,
}

/// A figure in one sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FigureSide {
    /// Geometric mean over the rounds; absent if a round that counts lacks the figure.
    pub value: Option<f64>,
    /// Number of rounds.
    pub rounds: usize,
}

/// Compares the rate of the first phase.
pub(super) fn throughput(rounds: [&Rounds<'_>; 2]) -> Figure {
    let read = |speed: &Speed| Some(speed.phases.first()?.throughput);
    Figure::of("the throughput", rounds, read)
}

/// Compares the highest rate within the objective; `None` if neither sweep searched for it. It is 0
/// in B if no rate met the objective there.
pub(super) fn highest(rounds: [&Rounds<'_>; 2]) -> Option<Figure> {
    const NAME: &str = "max queries/s within SLO";
    let searches = rounds.map(|rounds| {
        let speeds = rounds.counted().filter_map(Trial::speed);
        let searches = speeds.filter_map(|speed| speed.search.as_ref());
        searches.collect::<Vec<_>>()
    });
    let objectives = [0, 1].map(|side| Some(searches[side].first()?.objective_ms));
    let has_met = [0, 1].map(|side| searches[side].iter().all(|s| s.highest_qps.is_some()));
    let mut figure = Figure::of(NAME, rounds, |speed| {
        let search = speed.search.as_ref()?;
        Some(bracket(search, search.highest_qps?, speed))
    });
    figure.ratio = match objectives {
        [None, None] => return None,
        [Some(_), None] => Err(format!("only A searched for {NAME}")),
        [None, Some(_)] => Err(format!("only B searched for {NAME}")),
        [Some(a), Some(b)] if a != b => Err(format!(
            "{NAME} is of different SLOs: {a} ms in A, {b} ms in B"
        )),
        _ if !has_met[0] => Err("no rate met the SLO in A".to_owned()),
        _ if !has_met[1] => {
            figure.sides[1].value = Some(0.0);
            figure.zero = Some("no rate met the SLO in B".to_owned());
            Ok(Estimate::default())
        }
        _ => figure.ratio,
    };
    // A rate that was tried is a result, even without one that missed.
    figure.unbounded = None;
    Some(figure)
}

/// Bounds the rate that a search found: by the lowest rate that missed, else by the throughput, if
/// that is within the resolution of a search.
fn bracket(search: &SearchResult, value: f64, speed: &Speed) -> Estimate {
    let throughput = speed.throughput().map(|phase| phase.throughput.value);
    let near =
        throughput.filter(|end| value <= *end && (1.0 - SearchResult::RESOLUTION) * end <= value);
    Estimate {
        value,
        low: Some(value),
        high: search.missed_qps.or(near),
    }
}

/// Compares the p99 of the phase that stands for the latency, if its load was the same in all
/// rounds.
pub(super) fn p99(rounds: [&Rounds<'_>; 2]) -> Figure {
    let read = |speed: &Speed| Some(speed.latency()?.latency.as_ref()?.percentile(0.99)?.ms);
    let mut figure = Figure::of("the p99", rounds, read);
    let [of_a, of_b] = rounds.map(|rounds| {
        let speeds = rounds.counted().filter_map(Trial::speed);
        let mut loads: Vec<_> = speeds.filter_map(Speed::latency).map(load).collect();
        loads.sort_unstable();
        loads.dedup();
        loads
    });
    let measured = !of_a.is_empty() && !of_b.is_empty();
    if measured && (of_a != of_b || of_a.len() > 1) {
        figure.ratio = Err(format!(
            "the p99 is of different loads: {} in A, {} in B",
            of_a.join(" / "),
            of_b.join(" / ")
        ));
    }
    figure
}

/// Describes the load of a phase; latencies are comparable only under the same load.
fn load(phase: &Phase) -> String {
    let load = match &phase.arrivals {
        Arrivals::Closed { in_flight } => format!("{in_flight} in flight"),
        Arrivals::Poisson {
            share: Some(share), ..
        } => format!("{:.0} % of the throughput", 1e2 * share),
        Arrivals::Poisson { rate, share: None } => format!("{rate:.1}/s"),
        Arrivals::Constant { rate } => format!("{rate:.1}/s evenly spaced"),
        Arrivals::Trace {
            file, left_out: 0, ..
        } => format!("as in {file}"),
        Arrivals::Trace { file, left_out, .. } => {
            format!("as in {file} without its last {left_out} arrivals")
        }
    };
    format!("{} phase, {load}", phase.kind)
}

impl Figure {
    /// Compares a figure over the rounds that count.
    fn of(
        name: &'static str,
        rounds: [&Rounds<'_>; 2],
        read: impl Fn(&Speed) -> Option<Estimate>,
    ) -> Figure {
        let sides = rounds.map(|rounds| {
            let figures = rounds.counted().map(|round| read(round.speed()?));
            figures.collect::<Option<Vec<_>>>().unwrap_or_default()
        });
        let figure = Figure::between(name, [&sides[0], &sides[1]]);
        let without_speed = |rounds: &&Rounds<'_>| rounds.counted().any(|r| r.speed().is_none());
        match rounds.iter().any(without_speed) {
            true => Figure {
                ratio: Err(format!("{name} is not measured in an accuracy run")),
                ..figure
            },
            false => figure,
        }
    }

    /// Compares the values of A's rounds with those of B's.
    fn between(name: &'static str, sides: [&[Estimate]; 2]) -> Figure {
        let logs = sides.map(|side| -> Vec<f64> { side.iter().map(|f| f.value.ln()).collect() });
        let means = logs.each_ref().map(|logs| interval::mean(logs));
        let [a, b] = sides;
        let ratio = means[1] - means[0];
        let several = a.len() > 1 && b.len() > 1;
        let ends = match several {
            _ if !ratio.is_finite() => None,
            true => Some(welch(&logs[0], &logs[1])).map(|half| (ratio - half, ratio + half)),
            false => Option::zip(log_bounds(a), log_bounds(b)).map(|(a, b)| {
                // Difference of two asymmetric intervals: each end combines the two ends that it
                // results from.
                (
                    ratio - f64::hypot(b.down, a.up),
                    ratio + f64::hypot(b.up, a.down),
                )
            }),
        };
        let first = |is: &dyn Fn(usize) -> bool| {
            let side = (0..2).find(|side| is(*side))?;
            Some(["A", "B"][side])
        };
        let unknown = first(&|side| sides[side].is_empty());
        let is_zero = means.map(|mean| mean == f64::NEG_INFINITY);
        let unbounded = first(&|side| !several && !is_zero[1] && log_bounds(sides[side]).is_none());
        Figure {
            name,
            sides: [0, 1].map(|side| FigureSide {
                value: (!sides[side].is_empty()).then(|| means[side].exp()),
                rounds: sides[side].len(),
            }),
            ratio: match (unknown, is_zero) {
                (Some(side), _) => Err(format!("there are too few answers for {name} in {side}")),
                (None, [true, _]) => Err(format!("{name} is 0 in A")),
                (None, [false, true]) => Ok(Estimate::default()),
                (None, [false, false]) => Ok(Estimate {
                    value: ratio.exp(),
                    low: ends.map(|(low, _)| low.exp()),
                    high: ends.map(|(_, high)| high.exp()),
                }),
            },
            unbounded: unbounded.map(|side| format!("{name} has no interval in {side}")),
            zero: is_zero[1].then(|| format!("{name} is 0 in B")),
        }
    }

    /// Returns the reason why the change cannot be judged: there is no ratio, or the ratio lacks an
    /// interval.
    pub fn undecided(&self) -> Option<&str> {
        let no_ratio = self.ratio.as_ref().err();
        no_ratio.or(self.unbounded.as_ref()).map(String::as_str)
    }

    /// True if the 95 % interval excludes 1, or if the ratio is 0.
    pub fn is_significant(&self) -> bool {
        let Ok(ratio) = &self.ratio else {
            return false;
        };
        let is_more = ratio.low.is_some_and(|low| low > 1.0);
        let is_less = ratio.high.is_some_and(|high| high < 1.0);
        is_more || is_less || ratio.value == 0.0
    }
}

/// Returns half the width of the 95 % interval of the difference of two means, by Welch's method
/// for unequal variances.
fn welch(a: &[f64], b: &[f64]) -> f64 {
    let [of_a, of_b] = [a, b].map(|side| {
        let freedom = side.len() as f64 - 1.0;
        (
            interval::squared_deviations(side) / freedom / side.len() as f64,
            freedom,
        )
    });
    let variance = of_a.0 + of_b.0;
    if variance == 0.0 {
        return 0.0;
    }
    let freedom = variance.powi(2) / (of_a.0.powi(2) / of_a.1 + of_b.0.powi(2) / of_b.1);
    interval::student_factor(freedom) * variance.sqrt()
}

/// Distances from the logarithm of the geometric mean of some figures to the ends of its interval.
struct LogBounds {
    down: f64,
    up: f64,
}

/// Returns `None` if a figure has no interval.
fn log_bounds(figures: &[Estimate]) -> Option<LogBounds> {
    let mut squares = LogBounds { down: 0.0, up: 0.0 };
    for figure in figures {
        let (low, high) = (figure.low.filter(|low| *low > 0.0)?, figure.high?);
        squares.down += (figure.value / low).ln().powi(2);
        squares.up += (high / figure.value).ln().powi(2);
    }
    let count = figures.len() as f64;
    Some(LogBounds {
        down: squares.down.sqrt() / count,
        up: squares.up.sqrt() / count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;
    use rand_xoshiro::Xoshiro256PlusPlus;

    #[test]
    fn welch_interval_equals_numeric_integration() {
        // Variances of the means 2 and 0.833, 6.52 degrees of freedom, factor 2.4005.
        let half = welch(&[1.0, 3.0, 5.0, 7.0, 9.0], &[1.0, 2.0, 4.0, 5.0]);
        assert!((half - 4.0406).abs() < 1e-3, "{half}");
        assert_eq!(welch(&[1.0, 1.0], &[2.0, 2.0]), 0.0);
    }

    #[test]
    fn finds_a_false_change_in_one_of_twenty_comparisons() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let mut found = 0;
        for _ in 0..2000 {
            let mut rounds = |count, spread: f64| -> Vec<Estimate> {
                let noise = |_| (spread * random.sample::<f64, _>(StandardNormal)).exp();
                let figure = |value| Estimate {
                    value,
                    ..Estimate::default()
                };
                (0..count).map(noise).map(figure).collect()
            };
            let (a, b) = (rounds(5, 0.02), rounds(4, 0.06));
            found += usize::from(Figure::between("", [&a, &b]).is_significant());
        }
        // Expected are 100 ± 20.
        assert!((70..130).contains(&found), "{found}");
    }
}
