//! The gate of `driver compare`: limits for CI, which fail where they are broken and where nobody can tell.

use results::compare::{Figure, Pair};

use crate::{error::Error, text::estimate};

/// What fails in a comparison.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// A throughput, or a highest rate within the objective, below this share of the first sweep's.
    pub below: Option<f64>,
    /// A p99 above this multiple of the first sweep's.
    pub above: Option<f64>,
    /// Points that cannot be judged pass.
    pub allow_missing: bool,
}

/// Limits that make sense.
pub(super) struct Gate(Limits);

/// What a gate says of a point.
pub(super) enum Judgement {
    /// It is within the limits; without any limit, it could be compared.
    Passed,
    /// It is within the limits in what can be judged; the text says what cannot, which is allowed.
    InPart(String),
    /// Nothing of it can be judged, and that is allowed.
    Open(String),
    /// A limit is broken, or it cannot be judged.
    Failed(String),
}

/// A figure, and the limit that it has.
struct Limited<'a> {
    figure: &'a Figure,
    limit: Limit,
}

#[derive(Clone, Copy)]
enum Limit {
    Below(f64),
    Above(f64),
}

impl Gate {
    /// An error if a limit is no number that a ratio could have, or there is nothing for it to do.
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
                "--allow_missing means nothing without --fail_below or --fail_above: leave it out"
                    .to_owned(),
            )),
            false => Ok(gate),
        }
    }

    /// True if there is a limit.
    pub(super) fn is_set(&self) -> bool {
        self.0.below.is_some() || self.0.above.is_some()
    }

    /// A limit is broken where the whole interval is beyond it.
    pub(super) fn judge(&self, pair: &Pair) -> Judgement {
        let limited = self.limited(pair);
        let mut failures: Vec<_> = limited.iter().filter_map(Limited::broken).collect();
        let figures: Vec<&Figure> = match self.is_set() {
            true => limited.iter().map(|limited| limited.figure).collect(),
            false => pair.figures().collect(),
        };
        let judged = figures.iter().any(|figure| figure.open().is_none());
        let open = [pair.missing(), pair.open(figures.into_iter())].concat();
        if self.is_set() && !self.0.allow_missing {
            failures.extend_from_slice(&open);
        }
        match (failures.is_empty(), open.is_empty()) {
            (false, _) => Judgement::Failed(failures.join("; ")),
            (true, true) => Judgement::Passed,
            (true, false) if judged => Judgement::InPart(open.join("; ")),
            (true, false) => Judgement::Open(open.join("; ")),
        }
    }

    /// The figures of a point that have a limit.
    fn limited<'a>(&self, pair: &'a Pair) -> Vec<Limited<'a>> {
        let below = |figure| Some((figure, Limit::Below(self.0.below?)));
        let above = |figure| Some((figure, Limit::Above(self.0.above?)));
        let figures = [
            below(&pair.throughput),
            pair.highest.as_ref().and_then(below),
            above(&pair.p99),
        ];
        let figures = figures.into_iter().flatten();
        figures
            .map(|(figure, limit)| Limited { figure, limit })
            .collect()
    }
}

impl Limited<'_> {
    /// How the figure breaks its limit, if it does. One without bounds that may be judged is judged by itself.
    fn broken(&self) -> Option<String> {
        if let (Limit::Below(_), Some(why)) = (self.limit, &self.figure.zero) {
            return Some(why.clone());
        }
        let ratio = self.figure.ratio.as_ref().ok()?;
        if self.figure.open().is_some() {
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
