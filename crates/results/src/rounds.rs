//! The trials of one configuration, and the median of those that count.

use std::fmt;

use loadgen::stats::interval::median;

use crate::{speed::Speed, trial::Trial, verdict::VerdictStatus};

/// Rounds of one configuration, in the order of the results.
#[derive(Clone, Debug, Default)]
pub struct Rounds<'a>(Vec<&'a Trial>);

/// Number of rounds of a configuration that count, and of those left out, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundCounts {
    /// Number of VALID and SUSPECT rounds.
    pub counted: usize,
    /// Number of INVALID rounds.
    pub invalid: usize,
    /// Number of rounds that did not run.
    pub not_run: usize,
}

impl<'a> Rounds<'a> {
    /// Adds a round.
    pub fn push(&mut self, round: &'a Trial) {
        self.0.push(round);
    }

    /// Returns all rounds.
    pub fn all(&self) -> &[&'a Trial] {
        &self.0
    }

    /// Returns the VALID and SUSPECT rounds.
    pub fn counted(&self) -> impl Iterator<Item = &'a Trial> {
        self.0.iter().copied().filter(|round| counts(round))
    }

    /// Returns the rounds to show beside the verdict: those that count, or all if none does.
    pub fn shown(&self) -> Vec<&'a Trial> {
        let counted: Vec<_> = self.counted().collect();
        match counted.is_empty() {
            true => self.0.clone(),
            false => counted,
        }
    }

    /// Returns a figure of the rounds that count, ascending.
    pub fn sorted(&self, read: impl Fn(&Speed) -> Option<f64>) -> Vec<f64> {
        sorted(self.counted().filter_map(Trial::speed).filter_map(read))
    }

    /// Returns the median of a figure over the rounds that count; `None` if none of them has it.
    pub fn median(&self, read: impl Fn(&Speed) -> Option<f64>) -> Option<f64> {
        median(&self.sorted(read))
    }

    /// Counts the rounds that count and those that do not.
    pub fn counts(&self) -> RoundCounts {
        let of = |is: fn(&Trial) -> bool| self.0.iter().filter(|round| is(round)).count();
        let counted = of(counts);
        let not_run = of(|round| round.not_run().is_some());
        RoundCounts {
            counted,
            invalid: self.0.len() - counted - not_run,
            not_run,
        }
    }
}

impl<'a> FromIterator<&'a Trial> for Rounds<'a> {
    fn from_iter<I: IntoIterator<Item = &'a Trial>>(rounds: I) -> Rounds<'a> {
        Rounds(rounds.into_iter().collect())
    }
}

/// True if the round is VALID or SUSPECT.
fn counts(round: &Trial) -> bool {
    round.not_run().is_none() && round.verdict.status != VerdictStatus::Invalid
}

/// Returns the values, ascending.
pub fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

impl RoundCounts {
    /// Returns the number of all rounds.
    pub fn total(&self) -> usize {
        self.counted + self.invalid + self.not_run
    }

    /// Lists the rounds that do not count: `1 INVALID, 2 NOT RUN`; `None` if all do.
    pub fn left_out(&self) -> Option<String> {
        let kinds = [(self.invalid, "INVALID"), (self.not_run, "NOT RUN")];
        let kinds = kinds.iter().filter(|(count, _)| *count > 0);
        let kinds: Vec<_> = kinds
            .map(|(count, kind)| format!("{count} {kind}"))
            .collect();
        (!kinds.is_empty()).then(|| kinds.join(", "))
    }

    /// Adds the rounds of another configuration.
    pub fn add(&mut self, other: RoundCounts) {
        self.counted += other.counted;
        self.invalid += other.invalid;
        self.not_run += other.not_run;
    }
}

/// For instance `median of 2 of 3 rounds, left out: 1 INVALID`. Empty for a single round that
/// counts.
impl fmt::Display for RoundCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (counted, total) = (self.counted, self.total());
        if counted > 1 {
            f.write_str("median of ")?;
        }
        match self.left_out() {
            None if counted > 1 => write!(f, "{counted} rounds"),
            None => Ok(()),
            Some(kinds) => write!(f, "{counted} of {total} rounds, left out: {kinds}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{speed, whole},
        trial::TrialOutcome,
        verdict::{Verdict, VerdictReason},
    };

    fn round(qps: f64, status: VerdictStatus) -> Trial {
        let mut result = whole();
        speed(&mut result).throughput_qps = qps;
        result.verdict = Verdict::of(vec![VerdictReason {
            status,
            check: String::new(),
            text: String::new(),
        }]);
        result
    }

    #[test]
    fn median_is_of_the_rounds_that_count() {
        let not_run = Trial {
            outcome: TrialOutcome::NotRun {
                not_run: "no cores".to_owned(),
            },
            ..whole()
        };
        let results = [
            round(300.0, VerdictStatus::Valid),
            round(1e6, VerdictStatus::Invalid),
            round(100.0, VerdictStatus::Suspect),
            not_run,
        ];
        let rounds: Rounds<'_> = results.iter().collect();
        let throughput = |speed: &Speed| Some(speed.throughput_qps);
        assert_eq!(rounds.sorted(throughput), [100.0, 300.0]);
        assert_eq!(rounds.median(throughput), Some(200.0));
        let counts = rounds.counts();
        assert_eq!((counts.counted, counts.invalid, counts.not_run), (2, 1, 1));
        assert_eq!(
            counts.to_string(),
            "median of 2 of 4 rounds, left out: 1 INVALID, 1 NOT RUN"
        );
        let counts = |results: &[Trial]| results.iter().collect::<Rounds<'_>>().counts();
        assert_eq!(counts(&results[..1]).to_string(), "");
        assert_eq!(
            counts(&results[..2]).to_string(),
            "1 of 2 rounds, left out: 1 INVALID"
        );
        let twice = [results[0].clone(), results[0].clone()];
        assert_eq!(counts(&twice).to_string(), "median of 2 rounds");
        assert_eq!(counts(&results[1..2]).counted, 0);
        assert_eq!(Rounds::default().median(throughput), None);
    }
}
