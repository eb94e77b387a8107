//! All measurements of one combination, and what they say together: the median of those that count.

use std::fmt;

use loadgen::stats::interval::median;

use crate::{speed::Speed, trial::Trial, verdict::Status};

/// The rounds of one combination, in the order of the results.
#[derive(Clone, Debug, Default)]
pub struct Rounds<'a>(Vec<&'a Trial>);

/// How many rounds of a combination count, and how many are left out for which reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundCounts {
    /// Rounds that are VALID or SUSPECT.
    pub counted: usize,
    /// Rounds that are INVALID.
    pub invalid: usize,
    /// Rounds in which nothing was measured.
    pub not_run: usize,
}

impl<'a> Rounds<'a> {
    /// Adds a round.
    pub fn push(&mut self, round: &'a Trial) {
        self.0.push(round);
    }

    /// Every round, whatever its verdict.
    pub fn all(&self) -> &[&'a Trial] {
        &self.0
    }

    /// The rounds whose numbers are of what was asked for: VALID and SUSPECT ones.
    pub fn counted(&self) -> impl Iterator<Item = &'a Trial> {
        self.0.iter().copied().filter(|round| counts(round))
    }

    /// What is shown beside the verdict: the rounds that count or, where none does, all of them.
    pub fn shown(&self) -> Vec<&'a Trial> {
        let counted: Vec<_> = self.counted().collect();
        match counted.is_empty() {
            true => self.0.clone(),
            false => counted,
        }
    }

    /// What the rounds that count have of a figure, ascending.
    pub fn sorted(&self, read: impl Fn(&Speed) -> Option<f64>) -> Vec<f64> {
        sorted(self.counted().filter_map(Trial::speed).filter_map(read))
    }

    /// The median of a figure over the rounds that count; `None` if none of them has it.
    pub fn median(&self, read: impl Fn(&Speed) -> Option<f64>) -> Option<f64> {
        median(&self.sorted(read))
    }

    /// How many rounds count, and how many do not.
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

/// True if a round's numbers may stand for its combination.
fn counts(round: &Trial) -> bool {
    round.not_run().is_none() && round.verdict.status != Status::Invalid
}

/// The values, ascending.
pub fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

impl RoundCounts {
    /// All rounds.
    pub fn total(&self) -> usize {
        self.counted + self.invalid + self.not_run
    }

    /// How many rounds do not count, and why: `1 INVALID, 2 NOT RUN`; `None` if all do.
    pub fn left_out(&self) -> Option<String> {
        let kinds = [(self.invalid, "INVALID"), (self.not_run, "NOT RUN")];
        let kinds = kinds.iter().filter(|(count, _)| *count > 0);
        let kinds: Vec<_> = kinds
            .map(|(count, kind)| format!("{count} {kind}"))
            .collect();
        (!kinds.is_empty()).then(|| kinds.join(", "))
    }

    /// Adds the rounds of another combination.
    pub fn add(&mut self, other: RoundCounts) {
        self.counted += other.counted;
        self.invalid += other.invalid;
        self.not_run += other.not_run;
    }
}

/// What a number stands on: `median of 2 of 3 rounds, left out: 1 INVALID`. Empty for the only round there is.
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
        trial::Outcome,
        verdict::{Reason, Verdict},
    };

    fn round(qps: f64, status: Status) -> Trial {
        let mut result = whole();
        speed(&mut result).throughput_qps = qps;
        result.verdict = Verdict::of(vec![Reason {
            status,
            check: String::new(),
            text: String::new(),
        }]);
        result
    }

    #[test]
    fn a_median_is_of_the_rounds_that_count() {
        let not_run = Trial {
            outcome: Outcome::NotRun {
                not_run: "no cores".to_owned(),
            },
            ..whole()
        };
        let results = [
            round(300.0, Status::Valid),
            round(1e6, Status::Invalid),
            round(100.0, Status::Suspect),
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
        let said = |results: &[Trial]| results.iter().collect::<Rounds<'_>>().counts();
        assert_eq!(said(&results[..1]).to_string(), "");
        assert_eq!(
            said(&results[..2]).to_string(),
            "1 of 2 rounds, left out: 1 INVALID"
        );
        let twice = [results[0].clone(), results[0].clone()];
        assert_eq!(said(&twice).to_string(), "median of 2 rounds");
        assert_eq!(said(&results[1..2]).counted, 0);
        assert_eq!(Rounds::default().median(throughput), None);
    }
}
