//! Checks of the serving system: the model was the bottleneck, and the state was steady.

use loadgen::{Arrivals, Window, stats::interval};

use super::finding::{CheckResult, highest, longer, mean_during, phases, place, suspect};
use crate::{speed::Phase, text::percent, trial::Trial};

/// Minimum fill of batches; emptier ones amount to another batch size than the requested one.
const FILL: f64 = 0.9;

/// Share of the time in which replicas compute, above which the model is the bottleneck even with
/// unfilled batches.
const COMPUTING: f64 = 0.8;

/// CPU use, as a share of its cores, above which the frontend has no reserve for a burst.
const BUSY: f64 = 0.9;

/// Share of the baseline's throughput above which most of the time goes to frontend and protocol.
const NEAR_BASELINE: f64 = 0.8;

/// Limit of the difference between the halves of a window; a larger one that chance does not
/// explain is not steady.
const DRIFT: f64 = 0.05;

/// Limit of the latency in the second half of a window, as a multiple of that in the first.
const GROWS: f64 = 2.0;

/// Limit of the difference between the queries in flight and throughput times latency: the effect
/// of a short window's edges.
const LITTLE: f64 = 0.1;

pub(super) fn batch_fill(result: &Trial) -> CheckResult {
    let phase = result.speed()?.throughput()?;
    let node = result.node_configs.first()?;
    let mean = phase.mean_batch?;
    (mean < FILL * node.batch_size as f64).then_some(())?;
    let computing = phase.time_breakdown.map(|time| {
        let busy = phase.batches * time.predicting / 1e6;
        busy / (phase.totals.seconds * node.num_replicas as f64)
    });
    let limit = match computing {
        Some(share) if share > COMPUTING => format!(
            "replicas computed {} of the time, so raise --in_flight",
            percent(share)
        ),
        Some(share) => format!(
            "replicas computed {} of the time, so give frontend and driver more cores, or raise --in_flight",
            percent(share)
        ),
        None => "raise --in_flight".to_owned(),
    };
    suspect(format!(
        "the mean batch has {mean:.2} of {} queries (minimum: {}); {limit}",
        node.batch_size,
        percent(FILL)
    ))
}

pub(super) fn frontend_cpu(result: &Trial) -> CheckResult {
    let process = result.resources.as_ref()?.process("frontend")?;
    let cores = result.driver.cores_of("frontend")?.len() as f64;
    let share = |phase: &Phase| Some(mean_during(result, phase, &process.cpu)? / cores);
    let (phase, share) = highest(phases(result), share)?;
    (share > BUSY).then_some(())?;
    suspect(format!(
        "{}, the frontend's cores were {} busy (limit: {}), so it may be the bottleneck; give it more cores \
         with --frontend_cpus",
        place(phase),
        percent(share),
        percent(BUSY)
    ))
}

pub(super) fn near_baseline(result: &Trial) -> CheckResult {
    let speed = result.speed()?;
    let share = speed.throughput()?.throughput.value / speed.baseline.as_ref()?.throughput_qps;
    (share > NEAR_BASELINE).then_some(())?;
    suspect(format!(
        "the throughput is {} of the baseline's (limit: {}), so it measures frontend and protocol more than the model; \
         take larger batches, or give the frontend more cores",
        percent(share),
        percent(NEAR_BASELINE)
    ))
}

pub(super) fn not_steady(result: &Trial) -> CheckResult {
    let phase = phases(result).find(|phase| !phase.steady)?;
    suspect(format!(
        "{}, the window opened before a steady state, because time ran out; take a longer --duration_seconds",
        place(phase)
    ))
}

/// In a closed loop the rate must be constant.
pub(super) fn drift(result: &Trial) -> CheckResult {
    let closed = |phase: &&Phase| matches!(phase.arrivals, Arrivals::Closed { .. });
    let change = |phase: &Phase| {
        let [first, second] = halves(phase)?.map(interval::throughput);
        let apart = first.low? > second.high? || second.low? > first.high?;
        let change = (second.value - first.value) / first.value.max(f64::MIN_POSITIVE);
        (apart && change.abs() > DRIFT).then_some(change.abs())
    };
    let (phase, change) = highest(phases(result).filter(closed), change)?;
    suspect(format!(
        "{}, the rate differs by {} between the halves of the window (limit: {}); take a longer --duration_seconds, and \
         look for other load on the machine",
        place(phase),
        percent(change),
        percent(DRIFT)
    ))
}

/// In an open loop the latency must not keep growing.
pub(super) fn queue_grows(result: &Trial) -> CheckResult {
    let open = |phase: &&Phase| !matches!(phase.arrivals, Arrivals::Closed { .. });
    let growth = |phase: &Phase| {
        let [first, second] = halves(phase)?.map(|half| {
            let means: Vec<f64> = half.iter().filter_map(|window| window.mean_ms).collect();
            interval::mean(&means)
        });
        Some(second / first).filter(|growth| *growth > GROWS)
    };
    let (phase, growth) = highest(phases(result).filter(open), growth)?;
    suspect(format!(
        "{}, latency in the second half of the window is {growth:.1} times that in the first (limit: {GROWS:.1}), so the \
         rate exceeds the capacity; lower the rate",
        place(phase)
    ))
}

/// By Little's law, the queries in flight are the throughput times the latency.
pub(super) fn littles_law(result: &Trial) -> CheckResult {
    let deviation = |phase: &Phase| {
        let seconds = phase.latency.as_ref()?.mean / 1e3;
        let expected = phase.throughput.value * seconds;
        let applies = phase.mean_in_flight > 0.0 && phase.totals.sent == phase.totals.ok;
        let deviation = (phase.mean_in_flight - expected).abs() / expected;
        (applies && deviation > LITTLE).then_some(deviation)
    };
    let (phase, deviation) = highest(phases(result), deviation)?;
    suspect(format!(
        "{}, the queries in flight differ by {} from throughput times latency (limit: {}), so the state is not steady; \
         take {}",
        place(phase),
        percent(deviation),
        percent(LITTLE),
        longer(phase)
    ))
}

/// Splits the parts of a window into equal halves, without the middle one of an odd number; `None`
/// below four.
fn halves(phase: &Phase) -> Option<[&[Window]; 2]> {
    let windows = &phase.windows;
    let half = windows.len() / 2;
    (half >= 2).then(|| [&windows[..half], &windows[windows.len() - half..]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{phase, profiled, speed, whole};

    #[test]
    fn explains_unfilled_batches_by_the_compute_time() {
        let text = |predicting: f64| {
            let mut result = whole();
            let phase = phase(&mut result);
            (phase.mean_batch, phase.batches) = (Some(2.0), 500.0);
            phase.time_breakdown.as_mut().unwrap().predicting = predicting;
            batch_fill(&result).unwrap().text
        };
        // 500 batches in 5 s on two replicas: 20 ms each is all of their time.
        let busy = text(18e3);
        assert!(
            busy.contains("computed 90 % of the time, so raise --in_flight"),
            "{busy}"
        );
        let idle = text(4e3);
        assert!(
            idle.contains("computed 20 % of the time, so give frontend and driver"),
            "{idle}"
        );
    }

    #[test]
    fn drift_applies_to_closed_loops_only() {
        let mut result = whole();
        phase(&mut result).windows[5..]
            .iter_mut()
            .for_each(|window| window.ok = 80);
        assert!(drift(&result).is_some());
        let trace = Arrivals::Trace {
            file: "trace".to_owned(),
            arrivals: 1000,
            seconds: 5.0,
            left_out: 0,
            times: [].into(),
        };
        phase(&mut result).arrivals = trace;
        assert_eq!(drift(&result), None);
    }

    #[test]
    fn too_few_windows_show_no_drift() {
        let mut result = whole();
        let windows = &mut phase(&mut result).windows;
        windows.truncate(3);
        windows[2].ok = 50;
        assert_eq!(drift(&result), None);
    }

    #[test]
    fn without_a_closed_loop_there_is_no_throughput() {
        let mut result = profiled();
        speed(&mut result).baseline.as_mut().unwrap().throughput_qps = 201.0;
        assert!(near_baseline(&result).is_some());
        speed(&mut result).phases.remove(0);
        assert_eq!((near_baseline(&result), batch_fill(&result)), (None, None));
    }
}
