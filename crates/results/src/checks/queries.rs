//! What became of the queries, and whether there were enough of them.

use super::finding::{Finding, invalid, longer, phases, place, suspect};
use crate::{
    speed::{Phase, PhaseKind},
    text::percent,
    trial::{Outcome, Trial},
};

/// In fewer batches than these, where the window cuts them makes a difference of several per cent.
const FEW_BATCHES: f64 = 20.0;

/// More default outputs than these move the 99th percentile, of which they are no part.
const DEFAULTS: f64 = 0.01;

pub(super) fn not_run(result: &Trial) -> Finding {
    match &result.outcome {
        Outcome::NotRun { not_run } => invalid(format!("it did not run: {not_run}")),
        Outcome::Speed(_) | Outcome::Accuracy { .. } => None,
    }
}

pub(super) fn accuracy(result: &Trial) -> Finding {
    let run = result.accuracy().filter(|run| run.differs())?;
    invalid(format!(
        "the served answers are not as right as the artifact's offline evaluation says: {run}; either these are other \
         inputs than that was made with, or serving changes answers"
    ))
}

/// Every query must be answered by the model. With an objective that the frontend enforces the default output is an
/// answer too, and in a search a query that is refused is one that missed the objective. What an overloaded phase did
/// not wait for is not lost.
pub(super) fn lost(result: &Trial) -> Finding {
    let (of, lost) = match &result.outcome {
        Outcome::Accuracy { accuracy_run } => {
            let of = accuracy_run.served.of;
            (of, of.saturating_sub(result.totals.ok))
        }
        Outcome::Speed(speed) => {
            let counts = speed.phases.iter().flat_map(|phase| {
                let refusals = is_searched(phase);
                [phase.totals, phase.warm_up].map(|totals| {
                    let defaults = if result.has_objective() {
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
        Outcome::NotRun { .. } => (0, 0),
    };
    if lost == 0 {
        return None;
    }
    let reason = match &result.first_reason {
        Some(reason) => format!("the first reason: {reason}"),
        None => "no answer says why: see the frontend's and the replicas' logs".to_owned(),
    };
    invalid(format!(
        "{lost} of {of} queries were not answered by the model; {reason}"
    ))
}

pub(super) fn nothing_answered(result: &Trial) -> Finding {
    let nothing = |phase: &&Phase| {
        let missed = phase.overloaded && is_searched(phase);
        let none = phase.batches == 0.0 && !result.has_objective() && !missed;
        phase.totals.sent == 0 || none
    };
    let phase = phases(result).find(nothing)?;
    invalid(format!(
        "{} the model answered nothing: take {} or smaller batches",
        place(phase),
        longer(phase)
    ))
}

/// True if the phase tried a rate, which may have been too high.
fn is_searched(phase: &Phase) -> bool {
    matches!(phase.kind, PhaseKind::Search | PhaseKind::Confirm)
}

pub(super) fn replicas_lost(result: &Trial) -> Finding {
    let lost = result.replicas_died.max(result.replicas_lost);
    (lost > 0).then_some(())?;
    invalid(format!(
        "{lost} replicas died or lost their connection, so the numbers are not of those asked for: see their logs"
    ))
}

pub(super) fn default_outputs(result: &Trial) -> Finding {
    result.has_objective().then_some(())?;
    let (sent, defaults) = phases(result)
        .filter(|phase| phase.kind != PhaseKind::Search)
        .fold((0, 0), |(sent, defaults), phase| {
            (sent + phase.totals.sent, defaults + phase.totals.default)
        });
    let share = defaults as f64 / sent as f64;
    (share > DEFAULTS).then_some(())?;
    suspect(format!(
        "{} of the queries got the default output, and are in neither throughput nor latency: ask for a lower rate or \
         a longer --slo_ms",
        percent(share)
    ))
}

pub(super) fn few_samples(result: &Trial) -> Finding {
    let phase = result.speed()?.latency()?;
    let latency = phase.latency.as_ref()?;
    let why = match latency.percentile(0.99).map(|p99| p99.ms.high) {
        Some(Some(_)) => return None,
        Some(None) => {
            "the slowest of the queries came together, as in a moment's disturbance, so they count for few and their 99th \
             percentile has no interval"
                .to_owned()
        }
        None => format!(
            "{} queries are too few for a 99th percentile with an interval, which takes 368",
            latency.samples
        ),
    };
    suspect(format!("{} {why}: take {}", place(phase), longer(phase)))
}

pub(super) fn few_batches(result: &Trial) -> Finding {
    let phase = result.speed()?.throughput()?;
    let few = phase.batches > 0.0 && phase.batches < FEW_BATCHES;
    few.then_some(())?;
    suspect(format!(
        "{} there were only {:.1} batches, so where its window cuts them shows: take a longer --duration_seconds",
        place(phase),
        phase.batches
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::finding::Suspicion;
    use crate::{
        accuracy::AccuracyRun,
        fixture::{accurate, phase, whole},
        speed::Percentile,
    };
    use loadgen::{Arrivals, stats::Totals};

    fn whole_with(change: impl Fn(&mut Trial)) -> Trial {
        let mut result = whole();
        change(&mut result);
        result
    }

    #[test]
    fn a_query_that_the_model_did_not_answer_is_lost_even_in_warm_up_and_the_first_reason_is_given()
    {
        let result = whole_with(|result| {
            phase(result).totals.ok -= 2;
            phase(result).warm_up.ok -= 1;
            result.first_reason = Some("queue full".to_owned());
        });
        let Suspicion { text, .. } = lost(&result).unwrap();
        assert!(text.starts_with("3 of 2000 queries"), "{text}");
        assert!(text.ends_with("the first reason: queue full"), "{text}");
    }

    #[test]
    fn a_p99_without_an_interval_is_told_from_one_that_is_not_stated() {
        let text = |change: fn(&mut Vec<Percentile>)| {
            let result = whole_with(|result| {
                change(&mut phase(result).latency.as_mut().unwrap().percentiles);
            });
            few_samples(&result).unwrap().text
        };
        let together = text(|percentiles| percentiles.last_mut().unwrap().ms.high = None);
        assert!(together.contains("came together"), "{together}");
        let few = text(|percentiles| percentiles.truncate(3));
        assert!(few.contains("1000 queries are too few"), "{few}");
    }

    #[test]
    fn a_trace_sent_to_its_end_needs_no_longer_duration() {
        let text = |left_out| {
            let result = whole_with(|result| {
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
    fn a_phase_in_which_nothing_was_sent_is_no_result() {
        let result = whole_with(|result| phase(result).totals = Totals::default());
        assert!(nothing_answered(&result).is_some());
    }

    #[test]
    fn with_an_enforced_objective_the_default_output_is_an_answer() {
        let late = |result: &mut Trial| {
            let phase = phase(result);
            (phase.totals.ok, phase.totals.default) = (0, 1000);
            (phase.warm_up.ok, phase.warm_up.default) = (999, 1);
            phase.batches = 0.0;
        };
        let result = whole_with(late);
        assert!(lost(&result).is_some() && nothing_answered(&result).is_some());
        let result = whole_with(|result| {
            late(result);
            result.node_configs[0].slo = 20_000;
        });
        assert!(lost(&result).is_none() && nothing_answered(&result).is_none());
        assert!(default_outputs(&result).is_some());
    }

    #[test]
    fn a_refused_query_is_a_miss_in_a_search_but_one_without_an_answer_is_lost() {
        let refused = |result: &mut Trial| {
            let phase = phase(result);
            phase.kind = PhaseKind::Search;
            (phase.totals.ok, phase.totals.error) = (900, 100);
        };
        assert_eq!(lost(&whole_with(refused)), None);
        let silent = whole_with(|result| {
            refused(result);
            (phase(result).totals.error, phase(result).totals.timeout) = (99, 1);
        });
        assert!(lost(&silent).is_some());
    }

    #[test]
    fn only_an_overloaded_phase_may_have_cancelled_queries() {
        let cut = |overloaded| {
            whole_with(|result| {
                let phase = phase(result);
                phase.overloaded = overloaded;
                (phase.totals.ok, phase.totals.cancelled) = (600, 400);
            })
        };
        assert_eq!(lost(&cut(true)), None);
        let Suspicion { text, .. } = lost(&cut(false)).unwrap();
        assert!(text.starts_with("400 of 2000 queries"), "{text}");
        // What was lost beside them is.
        let mut both = cut(true);
        phase(&mut both).totals.ok -= 1;
        assert!(lost(&both).is_some());
    }

    #[test]
    fn a_search_may_try_a_rate_that_answers_nothing() {
        let nothing = |kind, overloaded| {
            let result = whole_with(|result| {
                let phase = phase(result);
                (phase.kind, phase.overloaded, phase.batches) = (kind, overloaded, 0.0);
            });
            nothing_answered(&result).is_some()
        };
        assert!(!nothing(PhaseKind::Search, true));
        assert!(nothing(PhaseKind::Search, false) && nothing(PhaseKind::Latency, true));
    }

    #[test]
    fn in_an_accuracy_run_the_default_output_is_no_answer_and_offline_must_have_been_as_right() {
        let mut result = accurate();
        result.node_configs[0].slo = 20_000;
        (result.totals.ok, result.totals.default) = (99, 1);
        let Suspicion { text, .. } = lost(&result).unwrap();
        assert!(text.starts_with("1 of 100 queries"), "{text}");

        let against = |offline| {
            let served = model::Accuracy { right: 97, of: 100 };
            let accuracy_run = AccuracyRun::new(served, offline);
            let outcome = Outcome::Accuracy { accuracy_run };
            accuracy(&Trial {
                outcome,
                ..accurate()
            })
        };
        assert!(against(Some(model::Accuracy { right: 98, of: 100 })).is_some());
        // Of other inputs, or of none.
        assert_eq!(against(Some(model::Accuracy { right: 98, of: 120 })), None);
        assert_eq!(against(None), None);
    }
}
