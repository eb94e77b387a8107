//! A figure of a point in two sweeps: how it has changed, or why that cannot be told.

use loadgen::{Arrivals, Estimate, stats::interval};

use crate::{
    rounds::Rounds,
    speed::{Phase, Search, Speed},
    trial::Trial,
};

/// A figure in A and in B.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is, as in "the throughput".
    pub name: &'static str,
    /// A's and B's.
    pub sides: [FigureSide; 2],
    /// B over A with its 95 % interval: above 1 is more in B. Between rounds, if both have several; else from the
    /// intervals of the figures, which do not know how much one deployment differs from the next; without bounds where
    /// those have none, or where B's is zero. The error says why there is no ratio.
    pub ratio: Result<Estimate, String>,
    /// Why the ratio has no interval, where it should have one.
    unbounded: Option<String>,
    /// Why B's figure is zero, where it is: a figure that fails any lower limit, whatever A's is.
    pub zero: Option<String>,
}

/// A figure in one sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FigureSide {
    /// Over several rounds, the geometric mean; absent where a round that counts has none.
    pub value: Option<f64>,
    /// How many rounds it is of.
    pub rounds: usize,
}

/// The rate of the first phase.
pub(super) fn throughput(rounds: [&Rounds<'_>; 2]) -> Figure {
    let read = |speed: &Speed| Some(speed.phases.first()?.throughput);
    Figure::of("the throughput", rounds, read)
}

/// The highest rate within the objective; `None` if neither side looked for it. Without any in B it is zero there.
pub(super) fn highest(rounds: [&Rounds<'_>; 2]) -> Option<Figure> {
    const NAME: &str = "the highest rate within the objective";
    let searches = rounds.map(|rounds| {
        let speeds = rounds.counted().filter_map(Trial::speed);
        let searches = speeds.filter_map(|speed| speed.search.as_ref());
        searches.collect::<Vec<_>>()
    });
    let objectives = [0, 1].map(|side| Some(searches[side].first()?.objective_ms));
    let met = [0, 1].map(|side| searches[side].iter().all(|s| s.highest_qps.is_some()));
    let mut figure = Figure::of(NAME, rounds, |speed| {
        let search = speed.search.as_ref()?;
        Some(bracket(search, search.highest_qps?, speed))
    });
    figure.ratio = match objectives {
        [None, None] => return None,
        [Some(_), None] => Err(format!("only A looked for {NAME}")),
        [None, Some(_)] => Err(format!("only B looked for {NAME}")),
        [Some(a), Some(b)] if a != b => Err(format!(
            "{NAME} is of different objectives: {a} ms in A, {b} ms in B"
        )),
        _ if !met[0] => Err("no rate met the objective in A".to_owned()),
        _ if !met[1] => {
            figure.sides[1].value = Some(0.0);
            figure.zero = Some("no rate met the objective in B".to_owned());
            Ok(Estimate::default())
        }
        _ => figure.ratio,
    };
    // A rate that was tried is one, with or without another that missed.
    figure.unbounded = None;
    Some(figure)
}

/// The rate that was found lies below the lowest that missed; where none did, below the throughput, if that is as near
/// as a search goes.
fn bracket(search: &Search, value: f64, speed: &Speed) -> Estimate {
    let throughput = speed.throughput().map(|phase| phase.throughput.value);
    let near = throughput.filter(|end| value <= *end && (1.0 - Search::NEAR) * end <= value);
    Estimate {
        value,
        low: Some(value),
        high: search.missed_qps.or(near),
    }
}

/// The 99th percentile of the phase that answers for the latency, if all rounds had the same load in it.
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

/// What two phases must have in common so that their latencies can be compared.
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
    /// Of the rounds that count.
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

    /// Of A's rounds and B's.
    fn between(name: &'static str, sides: [&[Estimate]; 2]) -> Figure {
        let logs = sides.map(|side| -> Vec<f64> { side.iter().map(|f| f.value.ln()).collect() });
        let means = logs.each_ref().map(|logs| interval::mean(logs));
        let [a, b] = sides;
        let ratio = means[1] - means[0];
        let several = a.len() > 1 && b.len() > 1;
        let ends = match several {
            _ if !ratio.is_finite() => None,
            true => Some(welch(&logs[0], &logs[1])).map(|half| (ratio - half, ratio + half)),
            false => Option::zip(reach(a), reach(b)).map(|(a, b)| {
                // The difference of two intervals that are not symmetric: each end is as far as the two that make it.
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
        let open = first(&|side| !several && !is_zero[1] && reach(sides[side]).is_none());
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
            unbounded: open.map(|side| format!("{name} has no interval in {side}")),
            zero: is_zero[1].then(|| format!("{name} is 0 in B")),
        }
    }

    /// Why it cannot be judged: there is no ratio, or one without the interval that it should have.
    pub fn open(&self) -> Option<&str> {
        let no_ratio = self.ratio.as_ref().err();
        no_ratio.or(self.unbounded.as_ref()).map(String::as_str)
    }

    /// True if the interval leaves out 1: there is a change, if 95 % are enough. A ratio of zero is one.
    pub fn is_significant(&self) -> bool {
        let Ok(ratio) = &self.ratio else {
            return false;
        };
        let is_more = ratio.low.is_some_and(|low| low > 1.0);
        let is_less = ratio.high.is_some_and(|high| high < 1.0);
        is_more || is_less || ratio.value == 0.0
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

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;
    use rand_xoshiro::Xoshiro256PlusPlus;

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
                let figure = |value| Estimate {
                    value,
                    ..Estimate::default()
                };
                (0..count).map(noise).map(figure).collect()
            };
            let (a, b) = (rounds(5, 0.02), rounds(4, 0.06));
            found += usize::from(Figure::between("", [&a, &b]).is_significant());
        }
        // 100 are expected, give or take 20.
        assert!((70..130).contains(&found), "{found}");
    }
}
