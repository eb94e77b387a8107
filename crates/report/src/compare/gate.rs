//! The gate of `driver compare`: limits for CI. A limit that cannot be judged fails too.

use results::compare::{ComparedConfig, Figure};

use crate::{error::Error, text::estimate};

/// Limits of a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Fail if the throughput, or the max queries/s within SLO, is below this share of the first
    /// sweep's.
    pub below: Option<f64>,
    /// Fail if the p99 is above this multiple of the first sweep's.
    pub above: Option<f64>,
    /// Pass points that cannot be judged.
    pub allow_missing: bool,
}

/// Limits that are valid.
pub(super) struct Gate(Limits);

/// Judgement of a point.
pub(super) enum Judgement {
    /// The point is within the limits or, without limits, could be compared.
    Passed,
    /// The point is within the limits that can be judged; the text states why others cannot, which
    /// is allowed.
    PassedInPart(String),
    /// No limit can be judged, which is allowed.
    Undecided(String),
    /// A limit is broken, or cannot be judged.
    Failed(String),
}

/// A figure with its limit.
struct LimitedFigure<'a> {
    figure: &'a Figure,
    limit: Limit,
}

#[derive(Clone, Copy)]
enum Limit {
    Below(f64),
    Above(f64),
}

impl Gate {
    /// Checks the limits. It is an error if a limit is not a positive number, or `allow_missing`
    /// has no effect.
    pub(super) fn of(limits: Limits) -> Result<Gate, Error> {
        let Limits { below, above, .. } = limits;
        for (flag, limit) in [("--fail_below", below), ("--fail_above", above)] {
            if limit.is_some_and(|limit| !(limit > 0.0 && limit.is_finite())) {
                return Err(Error::Usage(format!(
                    "{flag} takes a number above zero, such as 0.95 or 1.1"
                )));
            }
        }
        let gate = Gate(limits);
        match limits.allow_missing && !gate.is_set() {
            true => Err(Error::Usage(
                "--allow_missing has no effect without --fail_below or --fail_above: leave it out"
                    .to_owned(),
            )),
            false => Ok(gate),
        }
    }

    /// Returns true if there is a limit.
    pub(super) fn is_set(&self) -> bool {
        self.0.below.is_some() || self.0.above.is_some()
    }

    /// Judges a point. A limit is broken if the whole interval of the ratio is beyond it.
    pub(super) fn judge(&self, pair: &ComparedConfig) -> Judgement {
        let limited = self.limited(pair);
        let mut failures: Vec<_> = limited.iter().filter_map(LimitedFigure::broken).collect();
        let figures: Vec<&Figure> = match self.is_set() {
            true => limited.iter().map(|limited| limited.figure).collect(),
            false => pair.figures().collect(),
        };
        let judged = figures.iter().any(|figure| figure.undecided().is_none());
        let open = [pair.missing(), pair.undecided(figures.into_iter())].concat();
        if self.is_set() && !self.0.allow_missing {
            failures.extend_from_slice(&open);
        }
        match (failures.is_empty(), open.is_empty()) {
            (false, _) => Judgement::Failed(failures.join("; ")),
            (true, true) => Judgement::Passed,
            (true, false) if judged => Judgement::PassedInPart(open.join("; ")),
            (true, false) => Judgement::Undecided(open.join("; ")),
        }
    }

    /// Returns the figures of a point that have a limit.
    fn limited<'a>(&self, pair: &'a ComparedConfig) -> Vec<LimitedFigure<'a>> {
        let below = |figure| Some((figure, Limit::Below(self.0.below?)));
        let above = |figure| Some((figure, Limit::Above(self.0.above?)));
        let figures = [
            below(&pair.throughput),
            pair.highest.as_ref().and_then(below),
            above(&pair.p99),
        ];
        let figures = figures.into_iter().flatten();
        figures
            .map(|(figure, limit)| LimitedFigure { figure, limit })
            .collect()
    }
}

impl LimitedFigure<'_> {
    /// States how the figure breaks its limit; `None` if it does not. A figure without an interval
    /// is judged by its value.
    fn broken(&self) -> Option<String> {
        if let (Limit::Below(_), Some(why)) = (self.limit, &self.figure.zero) {
            return Some(why.clone());
        }
        let ratio = self.figure.ratio.as_ref().ok()?;
        if self.figure.undecided().is_some() {
            return None;
        }
        let (broken, beyond, limit) = match self.limit {
            Limit::Below(limit) => (ratio.high.unwrap_or(ratio.value) < limit, "below", limit),
            Limit::Above(limit) => (ratio.low.unwrap_or(ratio.value) > limit, "above", limit),
        };
        broken.then(|| {
            let (name, ratio) = (self.figure.name, estimate(ratio));
            format!("{name} is {ratio} times A's, {beyond} {limit}")
        })
    }
}
