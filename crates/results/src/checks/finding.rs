//! What a check finds, and what checks have in common.

use loadgen::{Arrivals, stats::interval::mean};

use crate::{speed::Phase, trial::Trial, verdict::Status};

/// What a check has found; `None` if nothing is wrong.
pub(super) type Finding = Option<Suspicion>;

/// Something that speaks against a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suspicion {
    /// How bad it is.
    pub(super) status: Status,
    /// What was seen, and what to do.
    pub(super) text: String,
}

pub(super) fn suspect(text: String) -> Finding {
    Some(Suspicion {
        status: Status::Suspect,
        text,
    })
}

pub(super) fn invalid(text: String) -> Finding {
    Some(Suspicion {
        status: Status::Invalid,
        text,
    })
}

/// The phases of a speed; none of an accuracy run.
pub(super) fn phases(result: &Trial) -> impl Iterator<Item = &Phase> {
    let speed = result.speed().into_iter();
    speed.flat_map(|speed| &speed.phases)
}

/// The phase, and its figure, in which that is highest.
pub(super) fn highest<'a>(
    phases: impl Iterator<Item = &'a Phase>,
    figure: impl Fn(&Phase) -> Option<f64>,
) -> Option<(&'a Phase, f64)> {
    let figures = phases.filter_map(|phase| Some((phase, figure(phase)?)));
    figures.max_by(|(_, one), (_, other)| one.total_cmp(other))
}

/// For instance `in the latency phase (80 queries/s)`.
pub(super) fn place(phase: &Phase) -> String {
    let kind = phase.kind;
    match rate(phase) {
        Some(rate) => format!("in the {kind} phase ({rate:.1} queries/s)"),
        None => format!("in the {kind} phase"),
    }
}

/// The rate that was asked for.
pub(super) fn rate(phase: &Phase) -> Option<f64> {
    match phase.arrivals {
        Arrivals::Poisson { rate, .. } | Arrivals::Constant { rate } => Some(rate),
        Arrivals::Closed { .. } | Arrivals::Trace { .. } => None,
    }
}

/// What to take for more queries: a longer duration adds nothing to a trace that is sent to its end.
pub(super) fn longer(phase: &Phase) -> &'static str {
    match phase.arrivals {
        Arrivals::Trace { left_out: 0, .. } => "a longer trace",
        _ => "a longer --duration_seconds",
    }
}

/// The mean of what was sampled during the window of `phase`.
pub(super) fn mean_during(result: &Trial, phase: &Phase, samples: &[f64]) -> Option<f64> {
    let opens = phase.opened_seconds;
    let closes = opens + phase.totals.seconds;
    let seconds = &result.resources.as_ref()?.seconds;
    let inside = seconds.iter().zip(samples);
    let inside = inside.filter(|(at, _)| opens < **at && **at <= closes);
    let inside: Vec<f64> = inside.map(|(_, value)| *value).collect();
    (!inside.is_empty()).then(|| mean(&inside))
}
