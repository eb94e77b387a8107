//! Whether the load was the one asked for, or the generator was what limited it.

use loadgen::Arrivals;

use super::finding::{Finding, highest, invalid, mean_during, phases, place, rate, suspect};
use crate::{
    speed::{Phase, PhaseKind},
    text::percent,
    trial::Trial,
};

/// The share of a rate that must have been sent.
const SENT: f64 = 0.98;

/// Lag above this share of the median latency is more than the interval of a median usually is.
const LAG: f64 = 0.1;

/// Above this share of its ceiling, a generator stops being the faster side of a queue.
const NEAR_CEILING: f64 = 0.5;

/// Above this one it is the limit, as far as a ceiling can be known from another run.
const AT_CEILING: f64 = 0.8;

/// Above this share of a core, a thread waits for the core more often than for work.
const BUSY: f64 = 0.9;

pub(super) fn rate_not_sent(result: &Trial) -> Finding {
    let missing = |phase: &Phase| {
        let asked = rate(phase)? * phase.totals.seconds;
        // As many as come by chance: two standard deviations of a Poisson count, or one query.
        let chance = match phase.arrivals {
            Arrivals::Poisson { .. } => 2.0 * asked.sqrt(),
            _ => 1.0,
        };
        let sent = phase.totals.sent as f64;
        (sent + chance < SENT * asked).then_some(1.0 - sent / asked)
    };
    let (phase, missing) = highest(phases(result), missing)?;
    invalid(format!(
        "{} only {} of the rate were sent: give the driver more cores or --num_clients, or ask for less",
        place(phase),
        percent(1.0 - missing)
    ))
}

/// More was offered than is served: nothing about latency was measured. In a search such a rate is one that missed the
/// objective, and a flood is meant to be one.
pub(super) fn overloaded(result: &Trial) -> Finding {
    let is_latency = |phase: &&Phase| phase.kind == PhaseKind::Latency;
    let phase = phases(result)
        .filter(is_latency)
        .find(|phase| phase.overloaded)?;
    invalid(format!(
        "{}, so its latency would say how long the test ran: ask for a lower rate",
        overload(phase)?
    ))
}

/// For instance `overloaded: offered 40/s, served 5.5/s in the latency phase`.
fn overload(phase: &Phase) -> Option<String> {
    let [offered, served] = [phase.offered_qps()?, phase.throughput.value].map(shortened);
    Some(format!(
        "overloaded: offered {offered}/s, served {served}/s in the {} phase",
        phase.kind
    ))
}

/// Two decimals at most, and one above ten: `40`, `5.53`, `12.7`.
fn shortened(rate: f64) -> f64 {
    let scale = if rate < 10.0 { 100.0 } else { 10.0 };
    (rate * scale).round() / scale
}

pub(super) fn send_lag(result: &Trial) -> Finding {
    let share = |phase: &Phase| {
        let median = phase.latency.as_ref()?.percentile(0.5)?.ms.value;
        Some(phase.lag?.p99 / median).filter(|share| *share > LAG)
    };
    let (phase, share) = highest(phases(result), share)?;
    suspect(format!(
        "{} one send in a hundred was late by {} of the median latency or more, which is counted as latency: give the \
         driver cores of its own or more --num_clients",
        place(phase),
        percent(share)
    ))
}

pub(super) fn generator_ceiling(result: &Trial) -> Finding {
    let generator = result.speed()?.generator?;
    let share = generator.share_of_ceiling;
    let text = format!(
        "the load generator ran at {} of its ceiling of {:.0} queries/s, so it may be what was measured: give the \
         driver more cores or --num_clients",
        percent(share),
        generator.ceiling_qps
    );
    match share {
        share if share > AT_CEILING => invalid(text),
        share if share > NEAR_CEILING => suspect(text),
        _ => None,
    }
}

pub(super) fn client_cpu(result: &Trial) -> Finding {
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
        "the driver took {} of what a client thread or its cores have to give, so sends and answers waited for it: \
         give it more --client_cpus or --num_clients",
        percent(share)
    ))
}

pub(super) fn flood(result: &Trial) -> Finding {
    let speed = result.speed()?;
    (speed.mode == "flood").then_some(())?;
    let overloaded = speed.phases.iter().find(|phase| phase.overloaded);
    let overload = overloaded
        .and_then(overload)
        .map(|text| format!("{text}; "));
    suspect(format!(
        "{}a flood is sent whatever the server does, so its latency says how long the test ran: for latency, take \
         --mode profile",
        overload.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::finding::Suspicion;
    use crate::{
        fixture::{profiled, speed, whole},
        verdict::Status,
    };

    #[test]
    fn a_generator_is_suspect_from_half_of_its_ceiling_on() {
        let mut result = profiled();
        speed(&mut result)
            .generator
            .as_mut()
            .unwrap()
            .share_of_ceiling = 0.6;
        let Suspicion { status, text } = generator_ceiling(&result).unwrap();
        assert_eq!(status, Status::Suspect);
        assert!(
            text.contains("at 60 % of its ceiling of 100000 queries/s"),
            "{text}"
        );
    }

    #[test]
    fn a_closed_loop_has_no_rate_that_could_be_missed() {
        assert_eq!(rate_not_sent(&whole()), None);
    }

    #[test]
    fn a_poisson_count_may_miss_its_mean_by_chance_and_an_even_one_may_not() {
        let mut result = profiled();
        let phase = &mut speed(&mut result).phases[1];
        (phase.totals.sent, phase.totals.ok) = (960, 960);
        assert_eq!(rate_not_sent(&result), None);
        speed(&mut result).phases[1].arrivals = Arrivals::Constant { rate: 160.0 };
        let Suspicion { status, text } = rate_not_sent(&result).unwrap();
        assert_eq!(status, Status::Invalid);
        assert!(
            text.starts_with("in the latency phase (160.0 queries/s) only 96 %"),
            "{text}"
        );
    }

    #[test]
    fn overload_is_reported_but_no_fault_of_a_flood() {
        let mut result = profiled();
        let phase = &mut speed(&mut result).phases[1];
        phase.arrivals = Arrivals::Poisson {
            rate: 40.0,
            share: None,
        };
        phase.throughput.value = 5.5;
        phase.overloaded = true;
        let Suspicion { status, text } = overloaded(&result).unwrap();
        assert_eq!(status, Status::Invalid);
        assert!(
            text.starts_with("overloaded: offered 40/s, served 5.5/s in"),
            "{text}"
        );

        let speed = speed(&mut result);
        speed.mode = "flood".to_owned();
        speed.phases[1].kind = PhaseKind::Flood;
        assert_eq!(overloaded(&result), None);
        let Suspicion { status, text } = flood(&result).unwrap();
        assert_eq!(status, Status::Suspect);
        assert!(
            text.starts_with("overloaded: offered 40/s, served 5.5/s in"),
            "{text}"
        );
    }

    #[test]
    fn a_client_thread_that_takes_all_of_a_core_is_a_reason_by_itself() {
        let mut result = profiled();
        speed(&mut result)
            .generator
            .as_mut()
            .unwrap()
            .busiest_thread = 0.97;
        assert!(client_cpu(&result).is_some());
    }
}
