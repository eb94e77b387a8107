//! Checks of the load: the requested load was sent, and the load generator was not the bottleneck.

use loadgen::Arrivals;

use super::finding::{CheckResult, highest, invalid, mean_during, phases, place, rate, suspect};
use crate::{
    speed::{Phase, PhaseKind},
    text::percent,
    trial::Trial,
};

/// Minimum share of the offered load that must have been sent.
const SENT: f64 = 0.98;

/// Limit of the p99 send delay, as a share of the median latency: the usual width of a median's
/// interval.
const LAG: f64 = 0.1;

/// Share of its ceiling above which the load generator may be the bottleneck.
const NEAR_CEILING: f64 = 0.5;

/// Share of its ceiling above which the load generator is the bottleneck; the ceiling is from
/// another run.
const AT_CEILING: f64 = 0.8;

/// CPU use, as a share of the cores, above which a thread waits for the core more often than for
/// work.
const BUSY: f64 = 0.9;

pub(super) fn rate_not_sent(result: &Trial) -> CheckResult {
    let missing = |phase: &Phase| {
        let requested = rate(phase)? * phase.totals.seconds;
        // Chance explains two standard deviations of a Poisson count, or one query.
        let chance = match phase.arrivals {
            Arrivals::Poisson { .. } => 2.0 * requested.sqrt(),
            _ => 1.0,
        };
        let sent = phase.totals.sent as f64;
        (sent + chance < SENT * requested).then_some(1.0 - sent / requested)
    };
    let (phase, missing) = highest(phases(result), missing)?;
    invalid(format!(
        "{}, the driver sent {} of the offered load (minimum: {}); give it more cores or --num_clients, or lower the rate",
        place(phase),
        percent(1.0 - missing),
        percent(SENT)
    ))
}

/// The offered load exceeds the capacity, so no latency was measured. In a search such a rate
/// missed the objective, and a flood overloads on purpose.
pub(super) fn overloaded(result: &Trial) -> CheckResult {
    let is_latency = |phase: &&Phase| phase.kind == PhaseKind::Latency;
    let phase = phases(result)
        .filter(is_latency)
        .find(|phase| phase.overloaded)?;
    invalid(format!(
        "{}, so latency would reflect the length of the test; lower the rate",
        overload(phase)?
    ))
}

/// For instance `overloaded: offered 40/s, served 5.5/s in the latency phase`.
fn overload(phase: &Phase) -> Option<String> {
    let [offered, served] = [phase.offered_qps()?, phase.throughput.value].map(rounded);
    Some(format!(
        "overloaded: offered {offered}/s, served {served}/s in the {} phase",
        phase.kind
    ))
}

/// Rounds to two decimals, or one above ten: `40`, `5.53`, `12.7`.
fn rounded(rate: f64) -> f64 {
    let scale = if rate < 10.0 { 100.0 } else { 10.0 };
    (rate * scale).round() / scale
}

pub(super) fn send_lag(result: &Trial) -> CheckResult {
    let share = |phase: &Phase| {
        let median = phase.latency.as_ref()?.percentile(0.5)?.ms.value;
        Some(phase.lag?.p99 / median).filter(|share| *share > LAG)
    };
    let (phase, share) = highest(phases(result), share)?;
    suspect(format!(
        "{}, the p99 send delay is {} of the median latency (limit: {}) and counts as latency; give the driver its own \
         cores or more --num_clients",
        place(phase),
        percent(share),
        percent(LAG)
    ))
}

pub(super) fn generator_ceiling(result: &Trial) -> CheckResult {
    let generator = result.speed()?.generator?;
    let share = generator.share_of_ceiling;
    let text = |limit| {
        format!(
            "the load generator reached {} of its ceiling of {:.0} queries/s (limit: {}), so it may be the bottleneck; \
             give the driver more cores or --num_clients",
            percent(share),
            generator.ceiling_qps,
            percent(limit)
        )
    };
    match share {
        share if share > AT_CEILING => invalid(text(AT_CEILING)),
        share if share > NEAR_CEILING => suspect(text(NEAR_CEILING)),
        _ => None,
    }
}

pub(super) fn client_cpu(result: &Trial) -> CheckResult {
    let busiest = result.speed()?.generator.map(|g| g.busiest_thread);
    let cores = result.driver.cores_of("driver").map(|cores| cores.len());
    let whole = |phase: &Phase| {
        let process = result.resources.as_ref()?.process("driver")?;
        Some(mean_during(result, phase, &process.cpu)? / cores? as f64)
    };
    let whole = highest(phases(result), whole).map(|(_, share)| share);
    let share = busiest.into_iter().chain(whole).fold(0.0, f64::max);
    (share > BUSY).then_some(())?;
    suspect(format!(
        "a client thread or the driver's cores were {} busy (limit: {}), which delays sends and answers; give the \
         driver more cores with --client_cpus, or raise --num_clients",
        percent(share),
        percent(BUSY)
    ))
}

pub(super) fn flood(result: &Trial) -> CheckResult {
    let speed = result.speed()?;
    (speed.mode == "flood").then_some(())?;
    let overloaded = speed.phases.iter().find(|phase| phase.overloaded);
    let overload = overloaded
        .and_then(overload)
        .map(|text| format!("{text}; "));
    suspect(format!(
        "{}a flood is sent without regard to answers, so its latency reflects the length of the test; measure latency \
         with --mode profile",
        overload.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::finding::CheckFinding;
    use crate::{
        fixture::{profiled, speed, whole},
        verdict::VerdictStatus,
    };

    #[test]
    fn generator_is_suspect_above_half_of_its_ceiling() {
        let mut result = profiled();
        speed(&mut result)
            .generator
            .as_mut()
            .unwrap()
            .share_of_ceiling = 0.6;
        let CheckFinding { status, text } = generator_ceiling(&result).unwrap();
        assert_eq!(status, VerdictStatus::Suspect);
        assert!(
            text.contains("reached 60 % of its ceiling of 100000 queries/s (limit: 50 %)"),
            "{text}"
        );
    }

    #[test]
    fn closed_loop_has_no_rate_to_miss() {
        assert_eq!(rate_not_sent(&whole()), None);
    }

    #[test]
    fn poisson_counts_have_a_tolerance_and_constant_ones_none() {
        let mut result = profiled();
        let phase = &mut speed(&mut result).phases[1];
        (phase.totals.sent, phase.totals.ok) = (960, 960);
        assert_eq!(rate_not_sent(&result), None);
        speed(&mut result).phases[1].arrivals = Arrivals::Constant { rate: 160.0 };
        let CheckFinding { status, text } = rate_not_sent(&result).unwrap();
        assert_eq!(status, VerdictStatus::Invalid);
        assert!(
            text.starts_with("in the latency phase (160.0 queries/s), the driver sent 96 %"),
            "{text}"
        );
    }

    #[test]
    fn overload_is_a_reason_except_in_a_flood() {
        let mut result = profiled();
        let phase = &mut speed(&mut result).phases[1];
        phase.arrivals = Arrivals::Poisson {
            rate: 40.0,
            share: None,
        };
        phase.throughput.value = 5.5;
        phase.overloaded = true;
        let CheckFinding { status, text } = overloaded(&result).unwrap();
        assert_eq!(status, VerdictStatus::Invalid);
        assert!(
            text.starts_with("overloaded: offered 40/s, served 5.5/s in"),
            "{text}"
        );

        let speed = speed(&mut result);
        speed.mode = "flood".to_owned();
        speed.phases[1].kind = PhaseKind::Flood;
        assert_eq!(overloaded(&result), None);
        let CheckFinding { status, text } = flood(&result).unwrap();
        assert_eq!(status, VerdictStatus::Suspect);
        assert!(
            text.starts_with("overloaded: offered 40/s, served 5.5/s in"),
            "{text}"
        );
    }

    #[test]
    fn busy_client_thread_is_a_reason() {
        let mut result = profiled();
        speed(&mut result)
            .generator
            .as_mut()
            .unwrap()
            .busiest_thread = 0.97;
        assert!(client_cpu(&result).is_some());
    }
}
