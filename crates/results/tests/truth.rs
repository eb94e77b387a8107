//! Checks measured results against servers with known figures, by arithmetic or queueing theory.
//! Clients, pacer and counts are those of a real load, on a simulated clock and without sockets.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod simulation;

use std::time::Duration;

use loadgen::{Arrivals, LoadResult};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_distr::Exp1;
use rand_xoshiro::Xoshiro256PlusPlus;
use results::{Phase, PhaseKind};

use simulation::{LoadSimulation, load};

const MS: Duration = Duration::from_millis(1);

fn poisson(rate: f64) -> Arrivals {
    Arrivals::poisson(rate)
}

/// Returns the phase as it is reported.
fn phase(simulation: &LoadSimulation, mut measured: LoadResult) -> Phase {
    Phase::read(PhaseKind::Latency, &load(simulation), &mut measured)
}

fn p99_ms(phase: &Phase) -> f64 {
    phase
        .latency
        .as_ref()
        .unwrap()
        .percentile(0.99)
        .unwrap()
        .ms
        .value
}

fn about(value: f64, expected: f64, share: f64) {
    let off = (value / expected - 1.0).abs();
    assert!(off < share, "{value} is not {expected} to {share}");
}

/// Returns the tolerance of the mean time in a queue at load `rho`, as a share: five standard
/// deviations. By Whitt ("Planning queueing simulations", 1989), the mean number in an M/M/1 queue
/// is rho / (1 - rho); over `services` service times it has a variance of 2 rho (1 + rho) / ((1 -
/// rho)^4 services). That of an M/D/1 queue is lower.
fn tolerance(rho: f64, services: f64) -> f64 {
    let variance = 2.0 * rho * (1.0 + rho) / ((1.0 - rho).powi(4) * services);
    5.0 * variance.sqrt() * (1.0 - rho) / rho
}

#[test]
fn constant_service_times_follow_pollaczek_khinchine() {
    let (rho, seconds) = (0.8, 1000);
    let simulation = LoadSimulation::new(poisson(1000.0 * rho), Duration::from_secs(seconds));
    let phase = phase(&simulation, simulation.run(|_, _| Some(MS)));
    // One service time, and a wait of rho / (2 (1 - rho)) service times.
    let expected = 1.0 + rho / (2.0 * (1.0 - rho));
    let tolerance = tolerance(rho, 1000.0 * seconds as f64);
    assert!(tolerance < 0.06, "{tolerance}");
    let latency = phase.latency.as_ref().unwrap();
    about(latency.mean, expected, tolerance);
    about(phase.throughput.value, 1000.0 * rho, 0.01);
    // Little's law on the counts.
    about(
        phase.mean_in_flight,
        phase.throughput.value * latency.mean / 1e3,
        0.001,
    );
}

#[test]
fn exponential_service_times_give_exponential_latency() {
    let (rho, seconds) = (0.7, 1000);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    let simulation = LoadSimulation::new(poisson(1000.0 * rho), Duration::from_secs(seconds));
    let measured = simulation.run(|_, _| Some(MS.mul_f64(random.sample(Exp1))));
    let phase = phase(&simulation, measured);
    let latency = phase.latency.as_ref().unwrap();
    let mean = 1.0 / (1.0 - rho);
    let tolerance = tolerance(rho, 1000.0 * seconds as f64);
    assert!(tolerance < 0.04, "{tolerance}");
    about(latency.mean, mean, tolerance);
    for percentile in &latency.percentiles {
        let expected = -mean * (1.0 - percentile.quantile).ln();
        about(percentile.ms.value, expected, 2.0 * tolerance);
    }
    assert_eq!(latency.percentiles.len(), 5);
}

#[test]
fn closed_loop_measures_the_rate_of_the_server() {
    let simulation =
        LoadSimulation::new(Arrivals::Closed { in_flight: 12 }, Duration::from_secs(20))
            .warm_up(Duration::from_secs(1));
    let phase = phase(&simulation, simulation.run(|_, _| Some(10 * MS)));
    about(phase.throughput.value, 100.0, 1e-3);
    about(phase.mean_in_flight, 12.0, 1e-9);
    about(phase.latency.unwrap().mean, 120.0, 1e-3);
    assert!(phase.lag.is_none());
    assert!(
        phase
            .windows
            .iter()
            .all(|window| window.ok.abs_diff(100) <= 1)
    );
}

#[test]
fn open_loop_keeps_its_rate_under_overload() {
    let simulation =
        LoadSimulation::new(Arrivals::Constant { rate: 200.0 }, Duration::from_secs(10));
    let phase = phase(&simulation, simulation.run(|_, _| Some(10 * MS)));
    assert_eq!(phase.totals.sent, 2000);
    about(phase.throughput.value, 100.0, 2e-3);
    about(phase.mean_in_flight, 500.0, 0.01);
    assert!(phase.overloaded);
    // Latency would reflect the length of the test.
    assert_eq!(phase.latency, None);
    assert!(phase.windows.iter().all(|window| window.p99_ms.is_none()));
}

/// Runs an overload on a server with this service time. Returns the number of queries that were
/// answered after the window.
fn answered_in_the_drain(simulation: &LoadSimulation, service: Duration) -> u64 {
    let phase = phase(simulation, simulation.run(|_, _| Some(service)));
    let totals = phase.totals;
    assert!(phase.overloaded);
    assert_eq!(totals.sent, totals.ok + totals.cancelled);
    totals.ok - phase.windows.iter().map(|window| window.ok).sum::<u64>()
}

#[test]
fn overload_drains_for_three_batch_times_or_its_objective() {
    let forty = || LoadSimulation::new(poisson(40.0), Duration::from_secs(40));
    let (service, slack) = (200 * MS, 1);
    let drained = answered_in_the_drain(&forty(), service);
    assert!((3..=3 + slack).contains(&drained), "{drained}");
    let drained = answered_in_the_drain(&forty().objective(100 * MS), service);
    assert!((3..=3 + slack).contains(&drained), "{drained}");
    let drained = answered_in_the_drain(&forty().objective(4000 * MS), service);
    assert!((20..=20 + slack).contains(&drained), "{drained}");
}

#[test]
fn drained_overload_is_reported() {
    let simulation = LoadSimulation::new(poisson(40.0), Duration::from_secs(5))
        .objective(Duration::from_secs(60));
    let phase = phase(&simulation, simulation.run(|_, _| Some(50 * MS)));
    assert_eq!(phase.totals.ok, phase.totals.sent);
    assert!(phase.overloaded && phase.latency.is_none());
}

#[test]
fn cancels_a_burst_at_the_end_of_a_trace() {
    let trickle = (0..100).map(|n| n * 100 * MS);
    let burst = (0..1000).map(|_| 9950 * MS);
    let arrivals = Arrivals::at_times(trickle.chain(burst).collect());
    let simulation = LoadSimulation::new(arrivals, Duration::from_secs(10));
    let phase = phase(&simulation, simulation.run(|_, _| Some(50 * MS)));
    assert!(phase.overloaded && phase.totals.cancelled > 900);
}

#[test]
fn cancels_all_queries_if_no_batch_ends() {
    let simulation = LoadSimulation::new(poisson(40.0), Duration::from_secs(10));
    let phase = phase(&simulation, simulation.run(|_, _| Some(1000 * MS * 142)));
    assert!(phase.overloaded);
    assert_eq!(phase.totals.cancelled, phase.totals.sent);
}

#[test]
fn queries_of_a_silent_server_time_out() {
    let simulation = LoadSimulation::new(poisson(100.0), Duration::from_secs(10));
    let half = simulation.duration() / 2;
    let phase = phase(
        &simulation,
        simulation.run(|now, _| (now < half).then_some(MS)),
    );
    assert!(!phase.overloaded);
    assert!(phase.totals.timeout > 400, "{:?}", phase.totals);
}

#[test]
fn lost_queries_without_overload_time_out() {
    for service in [MS, 20 * MS, 200 * MS, 2000 * MS] {
        for one_in in [2, 3, 10, 500] {
            let rate = 0.6 / service.as_secs_f64();
            let simulation = LoadSimulation::new(poisson(rate), 1000 * service);
            let lost = |id: u32| id % one_in == 1;
            let phase = phase(
                &simulation,
                simulation.run(|_, id| (!lost(id)).then_some(service)),
            );
            let totals = phase.totals;
            let expected = (0..totals.sent as u32).filter(|id| lost(*id)).count();
            assert_eq!(totals.cancelled, 0, "{service:?}, one in {one_in}");
            assert_eq!(totals.timeout, expected as u64);
            assert!(!phase.overloaded);
        }
    }
}

#[test]
fn waits_for_a_stall_before_the_close() {
    let simulation =
        LoadSimulation::new(Arrivals::Constant { rate: 500.0 }, Duration::from_secs(2));
    let (stall, ends) = (Duration::from_millis(1800), Duration::from_millis(2010));
    let phase = phase(
        &simulation,
        simulation.run(|now, _| match stall <= now && now < ends {
            true => Some(ends - now),
            false => Some(MS / 10),
        }),
    );
    assert!(!phase.overloaded);
    assert_eq!(phase.totals.ok, phase.totals.sent);
}

/// Returns how many of 100 simulated loads are reported as overloaded, at load `rho` with
/// exponential service times.
fn overloaded_of_100(rho: f64, queries: u64) -> usize {
    let is_overloaded = |seed: &u64| {
        let duration = Duration::from_secs(queries).div_f64(100.0 * rho);
        let simulation = LoadSimulation::new(poisson(100.0 * rho), duration)
            .seed(*seed)
            .warm_up(duration / 10);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(*seed);
        let measured = simulation.run(|_, _| Some(10 * MS.mul_f64(random.sample(Exp1))));
        let totals = measured.tally.totals;
        assert!(measured.overloaded || totals.cancelled == 0);
        assert_eq!(totals.timeout, 0);
        measured.overloaded
    };
    (0..100).filter(is_overloaded).count()
}

#[test]
fn detects_overload_with_few_false_alarms() {
    for queries in [20, 100, 1000, 10_000] {
        let served = overloaded_of_100(0.8, queries);
        assert!(served <= 2, "{queries}: {served} of 100 served");
    }
    for (rho, queries) in [(8.0, 100), (2.0, 400), (1.2, 4000)] {
        let overloaded = overloaded_of_100(rho, queries);
        assert!(overloaded >= 98, "{rho}: {overloaded} of 100 overloaded");
    }
}

#[test]
fn unanswered_queries_time_out() {
    let simulation =
        LoadSimulation::new(Arrivals::Constant { rate: 100.0 }, Duration::from_secs(10));
    let phase = phase(
        &simulation,
        simulation.run(|_, id| (id % 10 != 7).then_some(MS)),
    );
    let totals = phase.totals;
    assert_eq!((totals.sent, totals.ok, totals.timeout), (1000, 900, 100));
    // Lost queries are in flight until the window closes: 100 queries for a mean of 5 s.
    about(phase.mean_in_flight, 50.0, 0.01);
}

/// Runs wrk2's example: a server with a service time of 0.1 ms stalls for 1.4 s in 100 s. At 100
/// queries/s, 140 of 10,000 queries meet the stall and wait for 1.4 s, 1.39 s and so on, so that
/// the hundredth longest wait is 0.4 s. Returns the phase, and the p99 from the send in
/// milliseconds.
fn stalled(simulation: &LoadSimulation) -> (Phase, f64) {
    let (begins, ends) = (Duration::from_secs(50), Duration::from_millis(51_400));
    let mut from_the_send = simulation::Sends::default();
    let measured = simulation.watched(&mut from_the_send, |now, _| {
        let stalled = if begins <= now && now < ends {
            ends - now
        } else {
            Duration::ZERO
        };
        Some(stalled + MS / 10)
    });
    (phase(simulation, measured), from_the_send.p99_ms())
}

#[test]
fn stalls_show_in_the_p99_of_open_loops_only() {
    let seconds = Duration::from_secs(100);
    let (open, _) = stalled(&LoadSimulation::new(
        Arrivals::Constant { rate: 100.0 },
        seconds,
    ));
    about(p99_ms(&open), 400.0, 0.03);
    about(open.latency.unwrap().max, 1400.0, 0.01);
    // In a closed loop one of a million queries meets the stall.
    let (closed, _) = stalled(&LoadSimulation::new(
        Arrivals::Closed { in_flight: 1 },
        seconds,
    ));
    about(p99_ms(&closed), 0.1, 0.02);
}

#[test]
fn latency_counts_from_the_intended_time_of_sending() {
    let simulation =
        LoadSimulation::new(Arrivals::Constant { rate: 100.0 }, Duration::from_secs(100))
            .asleep(Duration::from_secs(50), Duration::from_millis(51_400));
    let (phase, from_the_send) = stalled(&simulation);
    about(p99_ms(&phase), 400.0, 0.04);
    // 140 queries at once, each served in 0.1 ms: from the send, latency is at most 14 ms.
    assert!(from_the_send < 14.0, "{from_the_send}");
    // The client was late itself, which the lag shows.
    let lag = phase.lag.unwrap();
    about(lag.p99, 400.0, 0.03);
    about(lag.max, 1400.0, 0.01);
    assert_eq!((lag.p50, phase.totals.sent), (0.0, 10_000));
}

#[test]
fn late_client_does_not_send_after_the_close() {
    let simulation =
        LoadSimulation::new(Arrivals::Constant { rate: 100.0 }, Duration::from_secs(10))
            .asleep(Duration::from_secs(6), Duration::from_secs(12));
    let phase = phase(&simulation, simulation.run(|_, _| Some(MS)));
    // Queries that were not sent are not counted.
    assert_eq!(phase.totals.sent, 600);
}

proptest! {
    #[test]
    fn each_query_has_one_status_and_is_not_sent_early(
        seed: u64,
        rate in 1.0..3000.0_f64,
        in_flight in 1..50_usize,
        clients in 1..4_usize,
        micros in 10..5000_u64,
        lost in 2..50_u32,
        asleep in 0..1500_u64,
    ) {
        let seconds = Duration::from_secs(2);
        for arrivals in [
            Arrivals::Closed { in_flight: in_flight.max(clients) },
            Arrivals::poisson(rate),
            Arrivals::Constant { rate },
        ] {
            let simulation = LoadSimulation::new(arrivals, seconds)
                .seed(seed)
                .clients(clients)
                .warm_up(Duration::from_millis(300))
                .asleep(seconds / 2, seconds / 2 + Duration::from_millis(asleep));
            let mut sends = simulation::Sends::default();
            let measured = simulation.watched(&mut sends, |_, id| (id % lost != 0).then(|| Duration::from_micros(micros)));
            let phase = phase(&simulation, measured);
            let mut sent = 0;
            for totals in [phase.totals, phase.warm_up] {
                let answered = totals.ok + totals.default + totals.error;
                prop_assert_eq!(totals.sent, answered + totals.timeout + totals.cancelled);
                prop_assert!(totals.cancelled == 0 || phase.overloaded);
                sent += totals.sent;
            }
            prop_assert_eq!(sent, sends.count() as u64);
            let answers: u64 = phase.windows.iter().map(|window| window.ok).sum();
            prop_assert_eq!(answers as f64, (phase.throughput.value * phase.totals.seconds).round());
            if let Some(intended) = simulation.intended() {
                // Queries are sent in order, at their time or later, and all of them unless the
                // load ends while a client is late.
                prop_assert!(sends.count() == intended.len() || phase.overloaded);
                for (sent, intended) in sends.times().iter().zip(&intended) {
                    prop_assert!(sent >= intended);
                }
            }
        }
    }
}
