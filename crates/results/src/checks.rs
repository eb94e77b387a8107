//! The verdict on a trial, from its result alone: a list of checks.
//!
//! INVALID means that the numbers do not measure what was requested; reports never show them as
//! results. SUSPECT means that a reader must know the reason before relying on the numbers. Missing
//! evidence is not a reason.

mod finding;
mod load;
mod machine;
mod queries;
mod serving;

use crate::{
    trial::Trial,
    verdict::{Verdict, VerdictReason},
};

use finding::{CheckFinding, CheckResult};

type Check = fn(&Trial) -> CheckResult;

/// All checks with their names for scripts, in the order of the reasons.
const CHECKS: [(&str, Check); 25] = [
    ("not_run", queries::not_run),
    ("accuracy", queries::accuracy),
    ("queries_lost", queries::lost),
    ("nothing_answered", queries::nothing_answered),
    ("replicas_lost", queries::replicas_lost),
    ("pins_not_held", machine::pins_not_held),
    ("rate_not_sent", load::rate_not_sent),
    ("overloaded", load::overloaded),
    ("generator_ceiling", load::generator_ceiling),
    ("flood", load::flood),
    ("send_lag", load::send_lag),
    ("client_cpu", load::client_cpu),
    ("frontend_cpu", serving::frontend_cpu),
    ("batch_fill", serving::batch_fill),
    ("near_baseline", serving::near_baseline),
    ("not_steady", serving::not_steady),
    ("drift", serving::drift),
    ("queue_grows", serving::queue_grows),
    ("littles_law", serving::littles_law),
    ("default_outputs", queries::default_outputs),
    ("few_samples", queries::few_samples),
    ("few_batches", queries::few_batches),
    ("shared_cores", machine::shared_cores),
    ("stolen_time", machine::stolen_time),
    ("debug_build", machine::debug_build),
];

/// Judges a result; the verdict that it has is ignored.
pub fn judge(result: &Trial) -> Verdict {
    let reason = |(name, check): (&str, Check)| {
        let CheckFinding { status, text } = check(result)?;
        Some(VerdictReason {
            status,
            check: name.to_owned(),
            text,
        })
    };
    Verdict::of(CHECKS.into_iter().filter_map(reason).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        accuracy::AccuracyRun,
        fixture::{accurate, phase, profiled, speed, whole},
        speed::{Phase, PhaseKind},
        trial::TrialOutcome,
        verdict::VerdictStatus,
    };
    use host::Resources;
    use std::collections::BTreeSet;

    type TrialChange = fn(&mut Trial);

    fn judge_changed(change: impl Fn(&mut Trial)) -> Verdict {
        let mut result = profiled();
        change(&mut result);
        judge(&result)
    }

    fn latency(result: &mut Trial) -> &mut Phase {
        &mut speed(result).phases[1]
    }

    fn resources(result: &mut Trial) -> &mut Resources {
        result.resources.as_mut().unwrap()
    }

    fn enforce(result: &mut Trial) {
        result.node_configs[0].slo = 20_000;
    }

    /// Each check with a change that triggers it and one just below its limit.
    const TRIGGERS: [(&str, VerdictStatus, TrialChange, TrialChange); 25] = [
        (
            "not_run",
            VerdictStatus::Invalid,
            |r| {
                r.outcome = TrialOutcome::NotRun {
                    not_run: "3 replicas need 3 cores".to_owned(),
                }
            },
            |_| (),
        ),
        (
            "accuracy",
            VerdictStatus::Invalid,
            |r| differ(r, 98),
            |r| differ(r, 97),
        ),
        (
            "queries_lost",
            VerdictStatus::Invalid,
            |r| phase(r).warm_up.ok -= 1,
            |_| (),
        ),
        (
            "nothing_answered",
            VerdictStatus::Invalid,
            |r| phase(r).batches = 0.0,
            |_| (),
        ),
        (
            "replicas_lost",
            VerdictStatus::Invalid,
            |r| r.replicas_lost = 1,
            |_| (),
        ),
        (
            "pins_not_held",
            VerdictStatus::Invalid,
            |r| resources(r).processes[0].held = Some("0-3".to_owned()),
            |r| resources(r).processes[0].pinned = None,
        ),
        (
            "rate_not_sent",
            VerdictStatus::Invalid,
            |r| send(r, 910),
            |r| send(r, 930),
        ),
        (
            "overloaded",
            VerdictStatus::Invalid,
            |r| overload(r, PhaseKind::Latency),
            |r| overload(r, PhaseKind::Search),
        ),
        (
            "generator_ceiling",
            VerdictStatus::Invalid,
            |r| reach(r, 0.81),
            |r| reach(r, 0.5),
        ),
        (
            "flood",
            VerdictStatus::Suspect,
            |r| speed(r).mode = "flood".to_owned(),
            |_| (),
        ),
        (
            "send_lag",
            VerdictStatus::Suspect,
            |r| lag(r, 12.1),
            |r| lag(r, 11.9),
        ),
        (
            "client_cpu",
            VerdictStatus::Suspect,
            |r| busy(r, "driver", 0.95),
            |r| busy(r, "driver", 0.85),
        ),
        (
            "frontend_cpu",
            VerdictStatus::Suspect,
            |r| busy(r, "frontend", 0.95),
            |r| busy(r, "frontend", 0.85),
        ),
        (
            "batch_fill",
            VerdictStatus::Suspect,
            |r| phase(r).mean_batch = Some(3.5),
            |r| phase(r).mean_batch = Some(3.7),
        ),
        (
            "near_baseline",
            VerdictStatus::Suspect,
            |r| baseline(r, 249.0),
            |r| baseline(r, 251.0),
        ),
        (
            "not_steady",
            VerdictStatus::Suspect,
            |r| latency(r).steady = false,
            |_| (),
        ),
        (
            "drift",
            VerdictStatus::Suspect,
            |r| speed_up(r, 106),
            |r| speed_up(r, 104),
        ),
        (
            "queue_grows",
            VerdictStatus::Suspect,
            |r| slow_down(r, 2.1),
            |r| slow_down(r, 1.9),
        ),
        (
            "littles_law",
            VerdictStatus::Suspect,
            |r| latency(r).mean_in_flight = 8.9,
            |r| latency(r).mean_in_flight = 7.3,
        ),
        (
            "default_outputs",
            VerdictStatus::Suspect,
            |r| default(r, 21),
            |r| default(r, 20),
        ),
        (
            "few_samples",
            VerdictStatus::Suspect,
            |r| bound(r, None),
            |r| bound(r, Some(140.0)),
        ),
        (
            "few_batches",
            VerdictStatus::Suspect,
            |r| phase(r).batches = 19.5,
            |r| phase(r).batches = 20.5,
        ),
        (
            "shared_cores",
            VerdictStatus::Suspect,
            |r| r.replicas[1].cores = Some("0-1".to_owned()),
            |r| r.replicas[1].cores = Some("4-9".to_owned()),
        ),
        (
            "stolen_time",
            VerdictStatus::Suspect,
            |r| resources(r).throttled_seconds = Some(0.3),
            |r| resources(r).throttled_seconds = Some(0.2),
        ),
        (
            "debug_build",
            VerdictStatus::Suspect,
            |r| r.versions.profile = "debug".to_owned(),
            |_| (),
        ),
    ];

    fn differ(result: &mut Trial, offline: u64) {
        *result = accurate();
        let [served, offline] = [97, offline].map(|right| model::Accuracy { right, of: 100 });
        let accuracy_run = AccuracyRun::new(served, Some(offline));
        result.outcome = TrialOutcome::Accuracy { accuracy_run };
    }

    fn send(result: &mut Trial, queries: u64) {
        let totals = &mut latency(result).totals;
        (totals.sent, totals.ok) = (queries, queries);
    }

    fn reach(result: &mut Trial, share: f64) {
        speed(result).generator.as_mut().unwrap().share_of_ceiling = share;
    }

    fn overload(result: &mut Trial, kind: PhaseKind) {
        let phase = latency(result);
        (phase.kind, phase.overloaded) = (kind, true);
        (phase.totals.ok, phase.totals.cancelled) = (600, 400);
        phase.latency = None;
    }

    fn lag(result: &mut Trial, ms: f64) {
        latency(result).lag.as_mut().unwrap().p99 = ms;
    }

    fn busy(result: &mut Trial, name: &str, cpu: f64) {
        let mut processes = resources(result).processes.iter_mut();
        let process = processes.find(|process| process.name == name).unwrap();
        // In the first phase alone.
        process.cpu[1..6].fill(cpu);
    }

    fn baseline(result: &mut Trial, qps: f64) {
        speed(result).baseline.as_mut().unwrap().throughput_qps = qps;
    }

    fn speed_up(result: &mut Trial, queries: u64) {
        let windows = &mut phase(result).windows;
        windows[5..]
            .iter_mut()
            .for_each(|window| window.ok = queries);
    }

    fn slow_down(result: &mut Trial, factor: f64) {
        let windows = &mut latency(result).windows;
        windows[5..]
            .iter_mut()
            .for_each(|window| window.mean_ms = Some(120.0 * factor));
    }

    fn default(result: &mut Trial, queries: u64) {
        enforce(result);
        let totals = &mut phase(result).totals;
        (totals.ok, totals.default) = (1000 - queries, queries);
    }

    fn bound(result: &mut Trial, high: Option<f64>) {
        let latency = latency(result).latency.as_mut().unwrap();
        let p99 = latency.percentiles.iter_mut().find(|p| p.quantile == 0.99);
        p99.unwrap().ms.high = high;
    }

    #[test]
    fn sound_results_are_valid() {
        for result in [whole(), profiled(), accurate()] {
            assert_eq!(judge(&result), Verdict::of(vec![]));
        }
    }

    #[test]
    fn each_check_triggers_above_its_limit_and_not_below() {
        for (name, status, enough, not_enough) in TRIGGERS {
            let verdict = judge_changed(enough);
            let found: Vec<_> = verdict
                .reasons
                .iter()
                .map(|r| (r.check.as_str(), r.status))
                .collect();
            assert_eq!(found, [(name, status)], "{verdict:?}");
            assert_eq!(verdict.status, status);
            assert!(!verdict.reasons[0].text.contains('\n'), "{verdict:?}");
            let verdict = judge_changed(not_enough);
            assert!(
                verdict
                    .reasons
                    .iter()
                    .all(|r| r.check != name || r.status < status),
                "{verdict:?}"
            );
        }
        let triggered: BTreeSet<_> = TRIGGERS.map(|(name, ..)| name).into();
        assert_eq!(triggered, CHECKS.map(|(name, _)| name).into());
    }
}
