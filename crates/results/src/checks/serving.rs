//! Whether it was the model that was measured, and whether the system was in the state that the numbers are said to be
//! of.

use loadgen::{Arrivals, Window, stats::interval};

use super::finding::{Finding, highest, longer, mean_during, phases, place, suspect};
use crate::{speed::Phase, text::percent, trial::Trial};

/// Batches that are emptier than this are another batch size than the one asked for.
const FILL: f64 = 0.9;

/// The share of their time that replicas compute, above which the model is the limit even where batches are not full.
const COMPUTING: f64 = 0.8;

/// Above this share of its cores, the frontend has none to spare for a burst.
const BUSY: f64 = 0.9;

/// Above this share of what a model without work reaches, most of the time goes to frontend and protocol.
const NEAR_ZERO: f64 = 0.8;

/// Halves of a window that differ by more than this, and by more than chance, are not one state.
const DRIFT: f64 = 0.05;

/// In a queue that holds its rate, the second half of a window is not slower by this factor.
const GROWS: f64 = 2.0;

/// Queries in flight may differ by this share from rate times latency: the edges of a short window are worth as much.
const LITTLE: f64 = 0.1;

pub(super) fn batch_fill(result: &Trial) -> Finding {
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
            "replicas computed {} of the time, so more --in_flight would fill batches",
            percent(share)
        ),
        Some(share) => format!(
            "replicas computed only {} of the time, so frontend or driver is the limit, or too few are in flight: give \
             them cores, or take more --in_flight",
            percent(share)
        ),
        None => "take more --in_flight".to_owned(),
    };
    suspect(format!(
        "batches of {} were filled with {mean:.2} queries; {limit}",
        node.batch_size
    ))
}

pub(super) fn frontend_cpu(result: &Trial) -> Finding {
    let process = result.resources.as_ref()?.process("frontend")?;
    let cores = result.driver.cores_of("frontend")?.len() as f64;
    let share = |phase: &Phase| Some(mean_during(result, phase, &process.cpu)? / cores);
    let (phase, share) = highest(phases(result), share)?;
    (share > BUSY).then_some(())?;
    suspect(format!(
        "{} the frontend took {} of its cores, so it may be the limit instead of the model: give it more \
         --frontend_cpus",
        place(phase),
        percent(share)
    ))
}

pub(super) fn zero_near(result: &Trial) -> Finding {
    let speed = result.speed()?;
    let share = speed.throughput()?.throughput.value / speed.zero.as_ref()?.throughput_qps;
    (share > NEAR_ZERO).then_some(())?;
    suspect(format!(
        "this is {} of what the no-op model reaches at this shape, so frontend and protocol are measured more than the \
         model: take larger batches, or give the frontend more cores",
        percent(share)
    ))
}

pub(super) fn not_steady(result: &Trial) -> Finding {
    let phase = phases(result).find(|phase| !phase.steady)?;
    suspect(format!(
        "{} the window opened because time ran out, before every replica had worked and rates agreed: take a longer \
         --duration_seconds",
        place(phase)
    ))
}

/// Where the rate is the system's own, it must not change.
pub(super) fn drift(result: &Trial) -> Finding {
    let closed = |phase: &&Phase| matches!(phase.arrivals, Arrivals::Closed { .. });
    let change = |phase: &Phase| {
        let [first, second] = halves(phase)?.map(interval::throughput);
        let apart = first.low? > second.high? || second.low? > first.high?;
        let change = (second.value - first.value) / first.value.max(f64::MIN_POSITIVE);
        (apart && change.abs() > DRIFT).then_some(change.abs())
    };
    let (phase, change) = highest(phases(result).filter(closed), change)?;
    suspect(format!(
        "{} the rate differs by {} between the window's halves, so no number is of the whole: take a longer \
         --duration_seconds, and look for what else the machine does",
        place(phase),
        percent(change)
    ))
}

/// Where the rate is given, latency must not go up and up.
pub(super) fn queue_grows(result: &Trial) -> Finding {
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
        "{} the second half of the queries took {growth:.1} times as long as the first: the rate is more than is served, \
         and latency says how long the test ran; ask for a lower rate",
        place(phase)
    ))
}

/// Queries in flight are the rate times the time that each takes, if all are counted and timed rightly.
pub(super) fn littles_law(result: &Trial) -> Finding {
    let deviation = |phase: &Phase| {
        let seconds = phase.latency.as_ref()?.mean / 1e3;
        let expected = phase.throughput.value * seconds;
        let applies = phase.mean_in_flight > 0.0 && phase.totals.sent == phase.totals.ok;
        let deviation = (phase.mean_in_flight - expected).abs() / expected;
        (applies && deviation > LITTLE).then_some(deviation)
    };
    let (phase, deviation) = highest(phases(result), deviation)?;
    suspect(format!(
        "{} the queries in flight differ by {} from throughput times latency, so one of the three is not of a steady \
         state: take {}",
        place(phase),
        percent(deviation),
        longer(phase)
    ))
}

/// The parts of a window in two equally long halves, without the one in the middle of an odd number; `None` below four.
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
    fn unfilled_batches_are_explained_by_how_long_the_replicas_computed() {
        let text = |predicting: f64| {
            let mut result = whole();
            let phase = phase(&mut result);
            (phase.mean_batch, phase.batches) = (Some(2.0), 500.0);
            phase.time_breakdown.as_mut().unwrap().predicting = predicting;
            batch_fill(&result).unwrap().text
        };
        // 500 batches in five seconds on two replicas: 20 ms each are all of their time.
        let busy = text(18e3);
        assert!(
            busy.contains("computed 90 % of the time, so more --in_flight"),
            "{busy}"
        );
        let idle = text(4e3);
        assert!(
            idle.contains("only 20 % of the time, so frontend or driver"),
            "{idle}"
        );
    }

    #[test]
    fn a_rate_that_is_asked_for_may_vary_and_one_of_the_systems_own_may_not() {
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
    fn without_a_closed_loop_there_is_no_throughput_to_hold_against_the_zero() {
        let mut result = profiled();
        speed(&mut result).zero.as_mut().unwrap().throughput_qps = 201.0;
        assert!(zero_near(&result).is_some());
        speed(&mut result).phases.remove(0);
        assert_eq!((zero_near(&result), batch_fill(&result)), (None, None));
    }
}
