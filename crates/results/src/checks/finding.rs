//! The finding of a check, and helpers that checks share.

use loadgen::{Arrivals, stats::interval::mean};

use crate::{speed::Phase, trial::Trial, verdict::VerdictStatus};

/// Result of a check; `None` if it found nothing.
pub(super) type CheckResult = Option<CheckFinding>;

/// A finding of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckFinding {
    /// Severity.
    pub(super) status: VerdictStatus,
    /// One sentence: the figure, the limit and the remedy.
    pub(super) text: String,
}

pub(super) fn suspect(text: String) -> CheckResult {
    Some(CheckFinding {
        status: VerdictStatus::Suspect,
        text,
    })
}

pub(super) fn invalid(text: String) -> CheckResult {
    Some(CheckFinding {
        status: VerdictStatus::Invalid,
        text,
    })
}

/// Returns the phases of a speed; none for an accuracy run.
pub(super) fn phases(result: &Trial) -> impl Iterator<Item = &Phase> {
    let speed = result.speed().into_iter();
    speed.flat_map(|speed| &speed.phases)
}

/// Returns the phase with the highest figure, and that figure.
pub(super) fn highest<'a>(
    phases: impl Iterator<Item = &'a Phase>,
    figure: impl Fn(&Phase) -> Option<f64>,
) -> Option<(&'a Phase, f64)> {
    let figures = phases.filter_map(|phase| Some((phase, figure(phase)?)));
    figures.max_by(|(_, one), (_, other)| one.total_cmp(other))
}

/// Names the phase: `in the latency phase (80.0 queries/s)`.
pub(super) fn place(phase: &Phase) -> String {
    let kind = phase.kind;
    match rate(phase) {
        Some(rate) => format!("in the {kind} phase ({rate:.1} queries/s)"),
        None => format!("in the {kind} phase"),
    }
}

/// Returns the offered load, if it was requested as a rate.
pub(super) fn rate(phase: &Phase) -> Option<f64> {
    match phase.arrivals {
        Arrivals::Poisson { rate, .. } | Arrivals::Constant { rate } => Some(rate),
        Arrivals::Closed { .. } | Arrivals::Trace { .. } => None,
    }
}

/// Names the remedy for too few queries. A longer duration adds nothing to a trace that is sent to
/// its end.
pub(super) fn longer(phase: &Phase) -> &'static str {
    match phase.arrivals {
        Arrivals::Trace { left_out: 0, .. } => "a longer trace",
        _ => "a longer --duration_seconds",
    }
}

/// Returns the mean of the samples inside the window of `phase`.
pub(super) fn mean_during(result: &Trial, phase: &Phase, samples: &[f64]) -> Option<f64> {
    let opens = phase.opened_seconds;
    let closes = opens + phase.totals.seconds;
    let seconds = &result.resources.as_ref()?.seconds;
    let inside = seconds.iter().zip(samples);
    let inside = inside.filter(|(at, _)| opens < **at && **at <= closes);
    let inside: Vec<f64> = inside.map(|(_, value)| *value).collect();
    (!inside.is_empty()).then(|| mean(&inside))
}
