//! The instrument against servers whose truth is known by arithmetic or queueing theory, on a clock that only the test
//! moves: the same clients, pacer and counts as under load, without sockets.
#![expect(clippy::unwrap_used, reason = "what a test stands on may panic")]

mod simulation;

use std::time::Duration;

use loadgen::{Arrivals, Measured};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_distr::Exp1;
use rand_xoshiro::Xoshiro256PlusPlus;
use results::{Phase, PhaseKind};

use simulation::{Simulation, load};

const MS: Duration = Duration::from_millis(1);

fn poisson(rate: f64) -> Arrivals {
    Arrivals::poisson(rate)
}

/// As it is reported.
fn phase(simulation: &Simulation, mut measured: Measured) -> Phase {
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

/// The tolerance of a mean time in a queue at load `rho`, as a share: five standard deviations. By Whitt ("Planning
/// queueing simulations", 1989), the mean number in an M/M/1 queue over so many service times has a variance of 2 rho
/// (1 + rho) / ((1 - rho)^4 services), and it is rho / (1 - rho). An M/D/1 queue varies less.
fn tolerance(rho: f64, services: f64) -> f64 {
    let variance = 2.0 * rho * (1.0 + rho) / ((1.0 - rho).powi(4) * services);
    5.0 * variance.sqrt() * (1.0 - rho) / rho
}

#[test]
fn the_mean_time_in_a_queue_with_a_constant_service_time_is_that_of_pollaczek_and_khinchine() {
    let (rho, seconds) = (0.8, 1000);
    let simulation = Simulation::new(poisson(1000.0 * rho), Duration::from_secs(seconds));
    let phase = phase(&simulation, simulation.run(|_, _| Some(MS)));
    // One service, and rho / (2 (1 - rho)) services of waiting.
    let expected = 1.0 + rho / (2.0 * (1.0 - rho));
    let tolerance = tolerance(rho, 1000.0 * seconds as f64);
    assert!(tolerance < 0.06, "{tolerance}");
    let latency = phase.latency.as_ref().unwrap();
    about(latency.mean, expected, tolerance);
    about(phase.throughput.value, 1000.0 * rho, 0.01);
    // Little's law, on the counts themselves.
    about(
        phase.mean_in_flight,
        phase.throughput.value * latency.mean / 1e3,
        0.001,
    );
}

#[test]
fn the_time_in_a_queue_with_exponential_service_times_is_exponential() {
    let (rho, seconds) = (0.7, 1000);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    let simulation = Simulation::new(poisson(1000.0 * rho), Duration::from_secs(seconds));
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
fn a_rate_limited_server_in_a_closed_loop_serves_its_rate_and_everything_in_flight_waits() {
    let simulation = Simulation::new(Arrivals::Closed { in_flight: 12 }, Duration::from_secs(20))
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
fn an_open_loop_above_a_servers_rate_shows_the_queue_and_is_not_slowed_by_it() {
    let simulation = Simulation::new(Arrivals::Constant { rate: 200.0 }, Duration::from_secs(10));
    let phase = phase(&simulation, simulation.run(|_, _| Some(10 * MS)));
    assert_eq!(phase.totals.sent, 2000);
    about(phase.throughput.value, 100.0, 2e-3);
    about(phase.mean_in_flight, 500.0, 0.01);
    assert!(phase.overloaded);
    // How long its answers took says how long it was.
    assert_eq!(phase.latency, None);
    assert!(phase.windows.iter().all(|window| window.p99_ms.is_none()));
}

/// At a rate above that of the server, which takes so long for a query: how many were answered after the window, as if
/// each had been sent in it.
fn answered_in_the_drain(simulation: &Simulation, service: Duration) -> u64 {
    let phase = phase(simulation, simulation.run(|_, _| Some(service)));
    let totals = phase.totals;
    assert!(phase.overloaded);
    assert_eq!(totals.sent, totals.ok + totals.cancelled);
    totals.ok - phase.windows.iter().map(|window| window.ok).sum::<u64>()
}

#[test]
fn overload_drains_for_three_batch_times_or_its_objective() {
    let forty = || Simulation::new(poisson(40.0), Duration::from_secs(40));
    let (service, look) = (200 * MS, 1);
    let drained = answered_in_the_drain(&forty(), service);
    assert!((3..=3 + look).contains(&drained), "{drained}");
    let drained = answered_in_the_drain(&forty().objective(100 * MS), service);
    assert!((3..=3 + look).contains(&drained), "{drained}");
    let drained = answered_in_the_drain(&forty().objective(4000 * MS), service);
    assert!((20..=20 + look).contains(&drained), "{drained}");
}

#[test]
fn an_overload_that_was_drained_is_still_one() {
    let simulation =
        Simulation::new(poisson(40.0), Duration::from_secs(5)).objective(Duration::from_secs(60));
    let phase = phase(&simulation, simulation.run(|_, _| Some(50 * MS)));
    assert_eq!(phase.totals.ok, phase.totals.sent);
    assert!(phase.overloaded && phase.latency.is_none());
}

#[test]
fn a_burst_at_the_end_of_a_trace_is_cut() {
    let trickle = (0..100).map(|n| n * 100 * MS);
    let burst = (0..1000).map(|_| 9950 * MS);
    let arrivals = Arrivals::at_times(trickle.chain(burst).collect());
    let simulation = Simulation::new(arrivals, Duration::from_secs(10));
    let phase = phase(&simulation, simulation.run(|_, _| Some(50 * MS)));
    assert!(phase.overloaded && phase.totals.cancelled > 900);
}

#[test]
fn where_no_batch_ever_ends_all_queries_are_cancelled() {
    let simulation = Simulation::new(poisson(40.0), Duration::from_secs(10));
    let phase = phase(&simulation, simulation.run(|_, _| Some(1000 * MS * 142)));
    assert!(phase.overloaded);
    assert_eq!(phase.totals.cancelled, phase.totals.sent);
}

#[test]
fn queries_of_a_server_that_falls_silent_are_lost() {
    let simulation = Simulation::new(poisson(100.0), Duration::from_secs(10));
    let half = simulation.duration() / 2;
    let phase = phase(
        &simulation,
        simulation.run(|now, _| (now < half).then_some(MS)),
    );
    assert!(!phase.overloaded);
    assert!(phase.totals.timeout > 400, "{:?}", phase.totals);
}

#[test]
fn no_query_lost_under_a_calm_load_is_excused() {
    for service in [MS, 20 * MS, 200 * MS, 2000 * MS] {
        for one_in in [2, 3, 10, 500] {
            let rate = 0.6 / service.as_secs_f64();
            let simulation = Simulation::new(poisson(rate), 1000 * service);
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
fn a_stall_just_before_the_close_is_waited_for() {
    let simulation = Simulation::new(Arrivals::Constant { rate: 500.0 }, Duration::from_secs(2));
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

/// In how many of a hundred simulated loads of so many queries, served one at a time in a random time, it says
/// overloaded.
fn said_overloaded(rho: f64, queries: u64) -> usize {
    let says = |seed: &u64| {
        let duration = Duration::from_secs(queries).div_f64(100.0 * rho);
        let simulation = Simulation::new(poisson(100.0 * rho), duration)
            .seed(*seed)
            .warm_up(duration / 10);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(*seed);
        let measured = simulation.run(|_, _| Some(10 * MS.mul_f64(random.sample(Exp1))));
        let totals = measured.tally.totals;
        assert!(measured.overloaded || totals.cancelled == 0);
        assert_eq!(totals.timeout, 0);
        measured.overloaded
    };
    (0..100).filter(says).count()
}

#[test]
fn overload_is_found_where_it_is_and_hardly_ever_elsewhere() {
    for queries in [20, 100, 1000, 10_000] {
        let served = said_overloaded(0.8, queries);
        assert!(served <= 2, "{queries}: {served} of 100 served");
    }
    for (rho, queries) in [(8.0, 100), (2.0, 400), (1.2, 4000)] {
        let overloaded = said_overloaded(rho, queries);
        assert!(overloaded >= 98, "{rho}: {overloaded} of 100 overloaded");
    }
}

#[test]
fn answers_that_never_come_are_timeouts_and_each_query_has_one_fate() {
    let simulation = Simulation::new(Arrivals::Constant { rate: 100.0 }, Duration::from_secs(10));
    let phase = phase(
        &simulation,
        simulation.run(|_, id| (id % 10 != 7).then_some(MS)),
    );
    let totals = phase.totals;
    assert_eq!((totals.sent, totals.ok, totals.timeout), (1000, 900, 100));
    // A lost one is in flight until the window closes: 100 of them for 5 s in the mean.
    about(phase.mean_in_flight, 50.0, 0.01);
}

/// wrk2's example: a server that takes 0.1 ms a query stands still for 1.4 s in 100 s; 100 queries a second, so 140 of
/// 10,000 meet it. They wait for 1.4 s, 1.39 s and so on, so that the hundredth longest of all waits for 0.4 s.
fn stalled(simulation: &Simulation) -> (Phase, f64) {
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
fn a_stall_of_the_server_shows_in_the_p99_of_an_open_loop_and_not_in_that_of_a_closed_one() {
    let seconds = Duration::from_secs(100);
    let (open, _) = stalled(&Simulation::new(
        Arrivals::Constant { rate: 100.0 },
        seconds,
    ));
    about(p99_ms(&open), 400.0, 0.03);
    about(open.latency.unwrap().max, 1400.0, 0.01);
    // The same server, asked again when it has answered: one query of a million meets the stall.
    let (closed, _) = stalled(&Simulation::new(Arrivals::Closed { in_flight: 1 }, seconds));
    about(p99_ms(&closed), 0.1, 0.02);
}

#[test]
fn a_client_that_stands_still_with_the_server_hides_nothing_for_latency_counts_from_the_intended_time()
 {
    let simulation = Simulation::new(Arrivals::Constant { rate: 100.0 }, Duration::from_secs(100))
        .asleep(Duration::from_secs(50), Duration::from_millis(51_400));
    let (phase, from_the_send) = stalled(&simulation);
    about(p99_ms(&phase), 400.0, 0.04);
    // 140 queries at once, each served in 0.1 ms: whoever counts from the send sees 14 ms at most.
    assert!(from_the_send < 14.0, "{from_the_send}");
    // It was late itself, and says so.
    let lag = phase.lag.unwrap();
    about(lag.p99, 400.0, 0.03);
    about(lag.max, 1400.0, 0.01);
    assert_eq!((lag.p50, phase.totals.sent), (0.0, 10_000));
}

#[test]
fn a_client_that_cannot_keep_up_leaves_out_what_it_still_owes_a_second_after_the_close() {
    let simulation = Simulation::new(Arrivals::Constant { rate: 100.0 }, Duration::from_secs(10))
        .asleep(Duration::from_secs(6), Duration::from_secs(12));
    let phase = phase(&simulation, simulation.run(|_, _| Some(MS)));
    // What was not sent is not counted as if it had been.
    assert_eq!(phase.totals.sent, 600);
}

proptest! {
    #[test]
    fn every_query_has_one_fate_and_none_is_sent_before_it_was_intended(
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
            let simulation = Simulation::new(arrivals, seconds)
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
                // Each at its time or later; and all of them, in their order, unless the load ends while a client is
                // late.
                prop_assert!(sends.count() == intended.len() || phase.overloaded);
                for (sent, intended) in sends.times().iter().zip(&intended) {
                    prop_assert!(sent >= intended);
                }
            }
        }
    }
}
