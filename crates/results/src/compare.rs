//! Comparison of two sweeps: the change at each configuration, with confidence intervals.

mod alike;
mod figure;

pub use figure::{Figure, FigureSide};

use std::{collections::BTreeSet, fmt};

use crate::{
    config_key::{ConfigKey, by_configs},
    rounds::{RoundCounts, Rounds},
    trial::Trial,
    verdict::VerdictStatus,
};

/// Sweep B compared with sweep A.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Configurations of A or B, in order.
    pub configs: Vec<ComparedConfig>,
    /// Differences between A and B, other than versions, that may explain a change; in words.
    pub differences: Vec<String>,
}

/// A configuration of A or B, with its figures in both.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedConfig {
    /// The configuration.
    pub key: ConfigKey,
    /// Rounds of A and of B. INVALID rounds and those that did not run are left out of the figures.
    pub sides: [SweepSide; 2],
    /// Rate of the first phase: in a closed loop, the throughput.
    pub throughput: Figure,
    /// Highest rate within the objective; absent if neither sweep searched for it.
    pub highest: Option<Figure>,
    /// p99 of the phase that stands for the latency. In a profile it is at a share of each sweep's
    /// own throughput.
    pub p99: Figure,
}

/// Rounds of a configuration in one sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SweepSide {
    /// Number of rounds that count, and of those that do not; all 0 if the sweep does not have the
    /// configuration.
    pub counts: RoundCounts,
    /// Worst status of the rounds.
    worst: Option<VerdictStatus>,
    /// Reason of the first round that did not run.
    not_run: String,
    /// Reason of the first INVALID round.
    invalid: String,
}

/// Compares sweep B with sweep A.
pub fn compare(a: &[Trial], b: &[Trial]) -> Comparison {
    let grouped = by_configs([a, b]);
    let keys: BTreeSet<&ConfigKey> = grouped.iter().flat_map(|sweep| sweep.keys()).collect();
    let none = Rounds::default();
    let pair = |key: &ConfigKey| {
        let rounds = grouped.each_ref().map(|sweep| sweep.get(key));
        ComparedConfig::of(key, rounds.map(|rounds| rounds.unwrap_or(&none)))
    };
    Comparison {
        configs: keys.into_iter().map(pair).collect(),
        differences: alike::differences(&grouped),
    }
}

impl Comparison {
    /// True if a configuration is in both sweeps, with any verdict.
    pub fn has_common_points(&self) -> bool {
        self.configs.iter().any(|pair| {
            let totals = pair.sides.each_ref().map(|side| side.counts.total());
            !totals.contains(&0)
        })
    }
}

impl ComparedConfig {
    fn of(key: &ConfigKey, rounds: [&Rounds<'_>; 2]) -> ComparedConfig {
        ComparedConfig {
            key: key.clone(),
            sides: rounds.map(SweepSide::of),
            throughput: figure::throughput(rounds),
            highest: figure::highest(rounds),
            p99: figure::p99(rounds),
        }
    }

    /// Returns the figures.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        let (first, last) = (Some(&self.throughput), Some(&self.p99));
        [first, self.highest.as_ref(), last].into_iter().flatten()
    }

    /// Returns reasons why rounds cannot be compared; empty if all can.
    pub fn missing(&self) -> Vec<String> {
        let sides = self.sides.iter().zip(["A", "B"]);
        sides.flat_map(|(side, name)| side.missing(name)).collect()
    }

    /// Returns reasons why these figures cannot be compared; empty if they can. Also empty if a
    /// side has no round that counts, which [`missing`](ComparedConfig::missing) reports.
    pub fn undecided<'a>(&self, figures: impl Iterator<Item = &'a Figure>) -> Vec<String> {
        let has_rounds = self.sides.iter().all(|side| side.counts.counted > 0);
        let figures = figures.filter(|_| has_rounds);
        figures
            .filter_map(Figure::undecided)
            .map(str::to_owned)
            .collect()
    }
}

impl SweepSide {
    fn of(rounds: &Rounds<'_>) -> SweepSide {
        let all = rounds.all();
        let invalid = all.iter().flat_map(|round| &round.verdict.reasons);
        let mut invalid =
            invalid.filter(|r| r.status == VerdictStatus::Invalid && r.check != "not_run");
        SweepSide {
            counts: rounds.counts(),
            worst: all.iter().map(|round| round.verdict.status).max(),
            not_run: first_line(all.iter().find_map(|round| round.not_run())),
            invalid: first_line(invalid.next().map(|reason| reason.text.as_str())),
        }
    }

    /// Returns reasons why rounds cannot be compared; `name` is that of the sweep.
    fn missing(&self, name: &str) -> Vec<String> {
        let total = self.counts.total();
        if total == 0 {
            return vec![format!("it is missing in {name}")];
        }
        let some = |count: usize, one: &str, is: &str, are: &str, why: &str| {
            let what = match (count, total) {
                (0, _) => return None,
                (_, 1) => one.to_owned(),
                (1, total) => format!("1 of {total} rounds {is}"),
                (count, total) => format!("{count} of {total} rounds {are}"),
            };
            let why = if why.is_empty() {
                ""
            } else {
                &format!(": {why}")
            };
            Some(format!("{what} in {name}{why}"))
        };
        let not_run = some(
            self.counts.not_run,
            "it did not run",
            "did not run",
            "did not run",
            &self.not_run,
        );
        let invalid = some(
            self.counts.invalid,
            "it is INVALID",
            "is INVALID",
            "are INVALID",
            &self.invalid,
        );
        not_run.into_iter().chain(invalid).collect()
    }
}

/// The worst verdict, `missing` or `NOT RUN`.
impl fmt::Display for SweepSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.worst {
            None => f.pad("missing"),
            Some(_) if self.counts.not_run > 0 => f.pad("NOT RUN"),
            Some(worst) => worst.fmt(f),
        }
    }
}

/// Returns the first line; a log may follow it.
fn first_line(text: Option<&str>) -> String {
    let line = text.and_then(|text| text.lines().next());
    line.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{phase, profiled, speed, whole},
        speed::SearchResult,
        trial::TrialOutcome,
        verdict::{Verdict, VerdictReason},
    };
    use loadgen::Estimate;
    use proptest::prelude::*;

    /// A trial with this throughput, with an interval of ±3 %.
    fn trial(qps: f64) -> Trial {
        let mut result = whole();
        phase(&mut result).throughput = Estimate {
            value: qps,
            low: Some(0.97 * qps),
            high: Some(1.03 * qps),
        };
        result
    }

    fn invalid(mut result: Trial) -> Trial {
        result.verdict = Verdict::of(vec![VerdictReason {
            status: VerdictStatus::Invalid,
            check: String::new(),
            text: "one was lost\n    log".to_owned(),
        }]);
        result
    }

    fn only(comparison: Comparison) -> ComparedConfig {
        let [pair] = <[ComparedConfig; 1]>::try_from(comparison.configs).unwrap();
        pair
    }

    fn throughput(a: &[f64], b: &[f64]) -> Figure {
        let [a, b] = [a, b].map(|side| side.iter().map(|qps| trial(*qps)).collect::<Vec<_>>());
        only(compare(&a, &b)).throughput
    }

    #[test]
    fn compares_single_rounds_by_their_intervals() {
        let figure = throughput(&[200.0], &[220.0]);
        let [a, b] = figure.sides.map(|side| side.value.unwrap());
        assert!((a - 200.0).abs() < 1e-9 && (b - 220.0).abs() < 1e-9);
        let ratio = figure.ratio.as_ref().unwrap();
        assert!((ratio.value - 1.1).abs() < 1e-9, "{figure:?}");
        // Two intervals of 3 % combine to 4.3 %.
        let ends = [ratio.low, ratio.high].map(Option::unwrap);
        assert!((ends[0] - 1.1 * 0.958).abs() < 1e-3, "{figure:?}");
        assert!((ends[1] - 1.1 * 1.044).abs() < 1e-3, "{figure:?}");
        assert!(figure.is_significant() && figure.undecided().is_none());
        assert!(throughput(&[220.0], &[200.0]).is_significant());
        assert!(!throughput(&[200.0], &[206.0]).is_significant());
    }

    #[test]
    fn compares_several_rounds_by_their_spread() {
        let apart = throughput(&[200.0, 201.0, 199.0], &[204.0, 205.0, 206.0]);
        assert_eq!(apart.sides.map(|side| side.rounds), [3, 3]);
        assert!(apart.is_significant(), "{apart:?}");
        let mixed = throughput(&[200.0, 240.0, 170.0], &[260.0, 200.0, 230.0]);
        assert!(!mixed.is_significant(), "{mixed:?}");
    }

    #[test]
    fn names_and_leaves_out_rounds_that_do_not_count() {
        let not_run = Trial {
            outcome: TrialOutcome::NotRun {
                not_run: "no cores".to_owned(),
            },
            ..whole()
        };
        let b = [trial(200.0), invalid(trial(1e6)), not_run.clone()];
        let pair = only(compare(&[trial(200.0)], &b));
        let ratio = pair.throughput.ratio.as_ref().unwrap();
        assert!((ratio.value - 1.0).abs() < 1e-9);
        assert_eq!(pair.throughput.sides.map(|side| side.rounds), [1, 1]);
        assert_eq!(
            pair.sides.each_ref().map(SweepSide::to_string),
            ["VALID", "NOT RUN"]
        );
        assert_eq!(
            pair.missing(),
            [
                "1 of 3 rounds did not run in B: no cores",
                "1 of 3 rounds is INVALID in B: one was lost"
            ]
        );
        // Without a round that counts there is no further reason.
        let pair = only(compare(&[invalid(trial(1e6))], &[not_run]));
        assert_eq!(
            pair.missing(),
            [
                "it is INVALID in A: one was lost",
                "it did not run in B: no cores"
            ]
        );
        assert_eq!(pair.undecided(pair.figures()), [""; 0]);
        assert!(pair.throughput.ratio.is_err() && pair.p99.ratio.is_err());
    }

    #[test]
    fn ratio_without_bounds_is_undecided() {
        let mut short = trial(400.0);
        phase(&mut short).throughput.low = None;
        let figure = only(compare(&[trial(200.0)], &[short])).throughput;
        let ratio = figure.ratio.as_ref().unwrap();
        assert_eq!((ratio.low, ratio.high), (None, None));
        assert!((ratio.value - 2.0).abs() < 1e-9 && !figure.is_significant());
        assert_eq!(
            figure.undecided(),
            Some("the throughput has no interval in B")
        );
    }

    #[test]
    fn figures_of_0_in_a_have_no_ratio() {
        for b in [0.0, 200.0] {
            let figure = throughput(&[0.0], &[b]);
            assert_eq!(figure.ratio.unwrap_err(), "the throughput is 0 in A");
        }
        for (a, b) in [(&[200.0][..], &[0.0][..]), (&[200.0, 210.0], &[0.0, 0.0])] {
            let figure = throughput(a, b);
            assert_eq!(figure.ratio, Ok(Estimate::default()));
            assert!(figure.is_significant() && figure.undecided().is_none());
            assert_eq!(figure.sides[1].value, Some(0.0));
        }
    }

    #[test]
    fn missing_p99_is_not_compared() {
        let mut short = whole();
        let latency = phase(&mut short).latency.as_mut().unwrap();
        latency.percentiles.pop();
        assert!(only(compare(&[whole()], &[whole()])).p99.ratio.is_ok());
        let pair = only(compare(&[whole()], &[short]));
        assert_eq!(
            pair.undecided(pair.figures()),
            ["there are too few answers for the p99 in B"]
        );
    }

    #[test]
    fn p99s_of_different_loads_are_not_compared() {
        let mut alone = profiled();
        speed(&mut alone).phases.pop();
        let mut fuller = alone.clone();
        phase(&mut fuller).arrivals = loadgen::Arrivals::Closed { in_flight: 48 };
        let p99 = |a: &Trial, b: &Trial| {
            let [a, b] = [a, b].map(std::slice::from_ref);
            only(compare(a, b)).p99.ratio
        };
        assert!(p99(&profiled(), &profiled()).is_ok());
        assert_eq!(
            p99(&profiled(), &alone).unwrap_err(),
            "the p99 is of different loads: latency phase, 80 % of the throughput in A, throughput phase, 24 in flight in B"
        );
        assert_eq!(
            p99(&alone, &fuller).unwrap_err(),
            "the p99 is of different loads: throughput phase, 24 in flight in A, throughput phase, 48 in flight in B"
        );
    }

    #[test]
    fn compares_highest_rates_within_the_objective() {
        let searched = |highest_qps, missed_qps, objective_ms| {
            let mut result = trial(600.0);
            speed(&mut result).search = Some(SearchResult {
                objective_ms,
                highest_qps,
                p99_ms: None,
                missed_qps,
            });
            result
        };
        let highest = |a: Trial, b: Trial| only(compare(&[a], &[b])).highest.unwrap();
        let a = searched(Some(500.0), Some(520.0), 20.0);
        let found = highest(a.clone(), searched(Some(300.0), Some(310.0), 20.0));
        let ratio = found.ratio.unwrap();
        let ends = [ratio.low, ratio.high].map(Option::unwrap);
        for (is, expected) in [
            (ratio.value, 0.6),
            (ends[0], 300.0 / 520.0),
            (ends[1], 310.0 / 500.0),
        ] {
            assert!((is - expected).abs() < 1e-9, "{ratio:?}");
        }
        // A close throughput is the upper bound; otherwise there is none.
        let near = highest(searched(Some(580.0), None, 20.0), a.clone());
        assert!(near.ratio.unwrap().high.is_some());
        let far = highest(searched(Some(500.0), None, 20.0), a.clone());
        let ratio = far.ratio.as_ref().unwrap();
        assert_eq!((ratio.low, far.undecided()), (None, None));

        let why = |a, b| highest(a, b).ratio.unwrap_err();
        let none = searched(None, Some(30.0), 20.0);
        assert_eq!(why(none.clone(), a.clone()), "no rate met the SLO in A");
        let nothing = highest(a.clone(), none);
        assert_eq!(nothing.ratio.unwrap(), Estimate::default());
        assert_eq!(
            why(a.clone(), searched(Some(500.0), None, 50.0)),
            "max queries/s within SLO is of different SLOs: 20 ms in A, 50 ms in B"
        );
        assert_eq!(
            why(a, trial(600.0)),
            "only A searched for max queries/s within SLO"
        );
        assert_eq!(only(compare(&[trial(1.0)], &[trial(1.0)])).highest, None);
    }

    #[test]
    fn configurations_of_one_sweep_are_missing_in_the_other() {
        let with_batch = |size| {
            let mut result = whole();
            result.node_configs[0].batch_size = size;
            result
        };
        let comparison = compare(
            &[with_batch(1), with_batch(2)],
            &[with_batch(2), with_batch(4)],
        );
        assert!(comparison.has_common_points());
        let missing = comparison.configs.iter().map(ComparedConfig::missing);
        assert_eq!(
            missing.map(|why| why.join("; ")).collect::<Vec<_>>(),
            ["it is missing in B", "", "it is missing in A"]
        );
        assert!(!compare(&[with_batch(1)], &[with_batch(2)]).has_common_points());
        assert!(!compare(&[], &[]).has_common_points());
    }

    #[test]
    fn names_other_machines_and_settings_but_not_commits() {
        let mut other = whole();
        other.versions.commit = Some("abc".to_owned());
        assert_eq!(compare(&[whole()], &[other.clone()]).differences, [""; 0]);
        other.machine.cores = 8;
        other.driver.objective_ms = Some(50.0);
        assert_eq!(
            compare(&[whole()], &[other]).differences,
            [
                "cores of the machine: 4 in A, 8 in B",
                "objective: none in A, 50 ms in B"
            ]
        );
    }

    #[test]
    fn differences_are_of_common_configurations() {
        let with = |batch, in_flight| {
            let mut result = whole();
            result.node_configs[0].batch_size = batch;
            result.driver.in_flight = in_flight;
            result
        };
        // Configurations of one sweep only, and trials that did not run, have no differences.
        let mut not_run = with(2, 0);
        not_run.outcome = TrialOutcome::NotRun {
            not_run: String::new(),
        };
        let a = [with(1, 3), with(2, 6), with(4, 12)];
        assert_eq!(compare(&a, &[with(1, 3), not_run]).differences, [""; 0]);
        let b = [with(1, 4), with(2, 6), with(4, 12)];
        let differences = |b: &[Trial]| compare(&a, b).differences;
        assert_eq!(
            differences(&b),
            ["queries in flight: 3 in A, 4 in B (at 1 of 3 points)"]
        );
        let b = [with(1, 4), with(2, 6), with(4, 16)];
        assert_eq!(
            differences(&b),
            ["queries in flight: 3 in A, 4 in B (at the first of 2 points)"]
        );
    }

    proptest! {
        #[test]
        fn reversed_comparison_is_the_inverse(
            a in prop::collection::vec(1.0..1e5_f64, 1..5),
            b in prop::collection::vec(1.0..1e5_f64, 1..5),
        ) {
            let (forward, back) = (throughput(&a, &b), throughput(&b, &a));
            prop_assert_eq!(forward.is_significant(), back.is_significant());
            let (forward, back) = (forward.ratio.unwrap(), back.ratio.unwrap());
            let inverse = |one: f64, other: f64| (one * other - 1.0).abs() < 1e-9;
            prop_assert!(inverse(forward.value, back.value));
            prop_assert!(inverse(forward.low.unwrap(), back.high.unwrap()));
            prop_assert!(forward.low <= Some(forward.value) && Some(forward.value) <= forward.high);
        }
    }
}
