//! Checks of the queries: all were answered by the model, and there were enough of them.

use super::finding::{CheckResult, invalid, longer, phases, place, suspect};
use crate::{
    speed::{Phase, PhaseKind},
    text::percent,
    trial::{Trial, TrialOutcome},
};

/// Minimum of batches in a window: with fewer, its edges change the throughput by several per cent.
const FEW_BATCHES: f64 = 20.0;

/// Limit of default outputs, as a share of the queries; more would move the p99, which leaves them
/// out.
const DEFAULTS: f64 = 0.01;

pub(super) fn not_run(result: &Trial) -> CheckResult {
    match &result.outcome {
        TrialOutcome::NotRun { not_run } => invalid(format!("did not run: {not_run}")),
        TrialOutcome::Speed(_) | TrialOutcome::Accuracy { .. } => None,
    }
}

pub(super) fn accuracy(result: &Trial) -> CheckResult {
    let run = result.accuracy().filter(|run| run.differs())?;
    invalid(format!(
        "the served answers differ from the artifact's offline evaluation: {run}; either the inputs differ, or serving \
         changes answers"
    ))
}

/// The model must answer all queries. The default output counts as an answer if the frontend
/// enforces the objective, a refusal counts as a miss in a search, and the cancelled queries of an
/// overloaded phase are not lost.
pub(super) fn lost(result: &Trial) -> CheckResult {
    let (of, lost) = match &result.outcome {
        TrialOutcome::Accuracy { accuracy_run } => {
            let of = accuracy_run.served.of;
            (of, of.saturating_sub(result.totals.ok))
        }
        TrialOutcome::Speed(speed) => {
            let counts = speed.phases.iter().flat_map(|phase| {
                let refusals = is_searched(phase);
                [phase.totals, phase.warm_up].map(|totals| {
                    let defaults = if result.enforces_slo() {
                        totals.default
                    } else {
                        0
                    };
                    let errors = if refusals { totals.error } else { 0 };
                    let cancelled = if phase.overloaded {
                        totals.cancelled
                    } else {
                        0
                    };
                    let known = totals.ok + defaults + errors + cancelled;
                    (totals.sent, totals.sent.saturating_sub(known))
                })
            });
            counts.fold((0, 0), |(of, lost), next| (of + next.0, lost + next.1))
        }
        TrialOutcome::NotRun { .. } => (0, 0),
    };
    if lost == 0 {
        return None;
    }
    let reason = match &result.first_reason {
        Some(reason) => format!("first reason: {reason}"),
        None => "see the logs of frontend and replicas".to_owned(),
    };
    invalid(format!(
        "{lost} of {of} queries were not answered by the model; {reason}"
    ))
}

pub(super) fn nothing_answered(result: &Trial) -> CheckResult {
    let nothing = |phase: &&Phase| {
        let missed = phase.overloaded && is_searched(phase);
        let none = phase.batches == 0.0 && !result.enforces_slo() && !missed;
        phase.totals.sent == 0 || none
    };
    let phase = phases(result).find(nothing)?;
    invalid(format!(
        "{}, the model answered no query; take {} or smaller batches",
        place(phase),
        longer(phase)
    ))
}

/// True if the phase tried a rate, which may be too high.
fn is_searched(phase: &Phase) -> bool {
    matches!(phase.kind, PhaseKind::Search | PhaseKind::Confirm)
}

pub(super) fn replicas_lost(result: &Trial) -> CheckResult {
    let lost = result.replicas_died.max(result.replicas_lost);
    (lost > 0).then_some(())?;
    invalid(format!(
        "{lost} replicas died or lost their connection under load; see their logs"
    ))
}

pub(super) fn default_outputs(result: &Trial) -> CheckResult {
    result.enforces_slo().then_some(())?;
    let (sent, defaults) = phases(result)
        .filter(|phase| phase.kind != PhaseKind::Search)
        .fold((0, 0), |(sent, defaults), phase| {
            (sent + phase.totals.sent, defaults + phase.totals.default)
        });
    let share = defaults as f64 / sent as f64;
    (share > DEFAULTS).then_some(())?;
    suspect(format!(
        "{} of the queries got the default output (limit: {}) and count in neither throughput nor latency; lower the \
         rate or raise --slo_ms",
        percent(share),
        percent(DEFAULTS)
    ))
}

pub(super) fn few_samples(result: &Trial) -> CheckResult {
    let phase = result.speed()?.latency()?;
    let latency = phase.latency.as_ref()?;
    let why = match latency.percentile(0.99).map(|p99| p99.ms.high) {
        Some(Some(_)) => return None,
        Some(None) => {
            "slow queries are clustered in time: the effective sample is too small for a p99 interval".to_owned()
        }
        None => format!(
            "{} queries are too few for a p99 interval (minimum: 368)",
            latency.samples
        ),
    };
    suspect(format!("{}, {why}; take {}", place(phase), longer(phase)))
}

pub(super) fn few_batches(result: &Trial) -> CheckResult {
    let phase = result.speed()?.throughput()?;
    let few = phase.batches > 0.0 && phase.batches < FEW_BATCHES;
    few.then_some(())?;
    suspect(format!(
        "{}, the model computed {:.1} batches (minimum: {FEW_BATCHES}), so the edges of the window affect the throughput; \
         take a longer --duration_seconds",
        place(phase),
        phase.batches
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::finding::CheckFinding;
    use crate::{
        accuracy::AccuracyRun,
        fixture::{accurate, phase, whole},
        speed::Percentile,
    };
    use loadgen::{Arrivals, stats::Totals};

    fn changed(change: impl Fn(&mut Trial)) -> Trial {
        let mut result = whole();
        change(&mut result);
        result
    }

    #[test]
    fn counts_lost_queries_including_those_of_the_warm_up() {
        let result = changed(|result| {
            phase(result).totals.ok -= 2;
            phase(result).warm_up.ok -= 1;
            result.first_reason = Some("queue full".to_owned());
        });
        let CheckFinding { text, .. } = lost(&result).unwrap();
        assert!(text.starts_with("3 of 2000 queries"), "{text}");
        assert!(text.ends_with("; first reason: queue full"), "{text}");
    }

    #[test]
    fn distinguishes_clustered_queries_from_too_few() {
        let text = |change: fn(&mut Vec<Percentile>)| {
            let result = changed(|result| {
                change(&mut phase(result).latency.as_mut().unwrap().percentiles);
            });
            few_samples(&result).unwrap().text
        };
        let clustered = text(|percentiles| percentiles.last_mut().unwrap().ms.high = None);
        assert!(clustered.contains("clustered in time"), "{clustered}");
        let few = text(|percentiles| percentiles.truncate(3));
        assert!(few.contains("1000 queries are too few"), "{few}");
    }

    #[test]
    fn complete_trace_needs_no_longer_duration() {
        let text = |left_out| {
            let result = changed(|result| {
                phase(result).arrivals = Arrivals::Trace {
                    file: "trace".to_owned(),
                    arrivals: 1000,
                    seconds: 5.0,
                    left_out,
                    times: [].into(),
                };
                phase(result).batches = 0.0;
            });
            nothing_answered(&result).unwrap().text
        };
        assert!(text(0).contains("take a longer trace or"), "{}", text(0));
        assert!(text(1).contains("--duration_seconds"), "{}", text(1));
    }

    #[test]
    fn phase_without_queries_is_invalid() {
        let result = changed(|result| phase(result).totals = Totals::default());
        assert!(nothing_answered(&result).is_some());
    }

    #[test]
    fn default_output_is_an_answer_under_an_enforced_objective() {
        let late = |result: &mut Trial| {
            let phase = phase(result);
            (phase.totals.ok, phase.totals.default) = (0, 1000);
            (phase.warm_up.ok, phase.warm_up.default) = (999, 1);
            phase.batches = 0.0;
        };
        let result = changed(late);
        assert!(lost(&result).is_some() && nothing_answered(&result).is_some());
        let result = changed(|result| {
            late(result);
            result.node_configs[0].slo = 20_000;
        });
        assert!(lost(&result).is_none() && nothing_answered(&result).is_none());
        assert!(default_outputs(&result).is_some());
    }

    #[test]
    fn search_may_have_refused_queries_but_no_lost_ones() {
        let refused = |result: &mut Trial| {
            let phase = phase(result);
            phase.kind = PhaseKind::Search;
            (phase.totals.ok, phase.totals.error) = (900, 100);
        };
        assert_eq!(lost(&changed(refused)), None);
        let silent = changed(|result| {
            refused(result);
            (phase(result).totals.error, phase(result).totals.timeout) = (99, 1);
        });
        assert!(lost(&silent).is_some());
    }

    #[test]
    fn only_overloaded_phases_may_have_cancelled_queries() {
        let cut = |overloaded| {
            changed(|result| {
                let phase = phase(result);
                phase.overloaded = overloaded;
                (phase.totals.ok, phase.totals.cancelled) = (600, 400);
            })
        };
        assert_eq!(lost(&cut(true)), None);
        let CheckFinding { text, .. } = lost(&cut(false)).unwrap();
        assert!(text.starts_with("400 of 2000 queries"), "{text}");
        // A query that is lost beside the cancelled ones counts.
        let mut both = cut(true);
        phase(&mut both).totals.ok -= 1;
        assert!(lost(&both).is_some());
    }

    #[test]
    fn search_may_try_a_rate_without_answers() {
        let nothing = |kind, overloaded| {
            let result = changed(|result| {
                let phase = phase(result);
                (phase.kind, phase.overloaded, phase.batches) = (kind, overloaded, 0.0);
            });
            nothing_answered(&result).is_some()
        };
        assert!(!nothing(PhaseKind::Search, true));
        assert!(nothing(PhaseKind::Search, false) && nothing(PhaseKind::Latency, true));
    }

    #[test]
    fn accuracy_runs_need_all_answers_and_the_offline_accuracy() {
        let mut result = accurate();
        result.node_configs[0].slo = 20_000;
        (result.totals.ok, result.totals.default) = (99, 1);
        let CheckFinding { text, .. } = lost(&result).unwrap();
        assert!(text.starts_with("1 of 100 queries"), "{text}");

        let against = |offline| {
            let served = model::Accuracy { right: 97, of: 100 };
            let accuracy_run = AccuracyRun::new(served, offline);
            let outcome = TrialOutcome::Accuracy { accuracy_run };
            accuracy(&Trial {
                outcome,
                ..accurate()
            })
        };
        assert!(against(Some(model::Accuracy { right: 98, of: 100 })).is_some());
        // An evaluation of other inputs, or none, is not compared.
        assert_eq!(against(Some(model::Accuracy { right: 98, of: 120 })), None);
        assert_eq!(against(None), None);
    }
}
