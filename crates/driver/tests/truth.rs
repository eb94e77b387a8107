//! The instrument against servers whose truth is known by arithmetic or queueing theory, on a clock that only the test moves:
//! the same clients, pacer and counts as under load, without sockets.
#![expect(clippy::unwrap_used, reason = "what a test stands on may panic")]

mod simulation;

use std::time::Duration;

use driver::{
    load::{Measured, pacer::Pace},
    results::{Arrivals, Phase},
};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_distr::Exp1;
use rand_xoshiro::Xoshiro256PlusPlus;

use simulation::{Simulation, load};

const MS: Duration = Duration::from_millis(1);

fn poisson(rate: f64) -> Pace {
    Pace::Poisson { rate, seed: 11 }
}

/// As it is reported. How the queries arrived is of no matter here.
fn phase(simulation: &Simulation, mut measured: Measured) -> Phase {
    let arrivals = Arrivals::Constant { rate: 0.0 };
    Phase::read(&load(simulation), arrivals, &mut measured)
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

/// The tolerance of a mean time in a queue at load `rho`, as a share: five standard deviations. By Whitt ("Planning queueing
/// simulations", 1989), the mean number in an M/M/1 queue over so many service times has a variance of 2 rho (1 + rho) /
/// ((1 - rho)^4 services), and it is rho / (1 - rho). An M/D/1 queue varies less.
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
    let simulation = Simulation::new(Pace::Closed { in_flight: 12 }, Duration::from_secs(20))
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
    let simulation = Simulation::new(Pace::Constant { rate: 200.0 }, Duration::from_secs(10));
    let phase = phase(&simulation, simulation.run(|_, _| Some(10 * MS)));
    assert_eq!(phase.totals.sent, 2000);
    about(phase.throughput.value, 100.0, 2e-3);
    // The last of them waits for 1,000 others: the queue grows by 100 a second.
    about(phase.latency.unwrap().max, 10_000.0, 0.01);
    about(phase.mean_in_flight, 500.0, 0.01);
}

#[test]
fn answers_that_never_come_are_timeouts_and_each_query_has_one_fate() {
    let simulation = Simulation::new(Pace::Constant { rate: 100.0 }, Duration::from_secs(10));
    let phase = phase(
        &simulation,
        simulation.run(|_, id| (id % 10 != 7).then_some(MS)),
    );
    let totals = phase.totals;
    assert_eq!((totals.sent, totals.ok, totals.timeout), (1000, 900, 100));
    // A lost one is in flight until the window closes: 100 of them for 5 s in the mean.
    about(phase.mean_in_flight, 50.0, 0.01);
}

/// wrk2's example: a server that takes 0.1 ms a query stands still for 1.4 s in 100 s; 100 queries a second, so 140 of 10,000
/// meet it. They wait for 1.4 s, 1.39 s and so on, so that the hundredth longest of all waits for 0.4 s.
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
    let (open, _) = stalled(&Simulation::new(Pace::Constant { rate: 100.0 }, seconds));
    about(p99_ms(&open), 400.0, 0.03);
    about(open.latency.unwrap().max, 1400.0, 0.01);
    // The same server, asked again when it has answered: one query of a million meets the stall.
    let (closed, _) = stalled(&Simulation::new(Pace::Closed { in_flight: 1 }, seconds));
    about(p99_ms(&closed), 0.1, 0.02);
}

#[test]
fn a_client_that_stands_still_with_the_server_hides_nothing_for_latency_counts_from_the_intended_time()
 {
    let simulation = Simulation::new(Pace::Constant { rate: 100.0 }, Duration::from_secs(100))
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
    let simulation = Simulation::new(Pace::Constant { rate: 100.0 }, Duration::from_secs(10))
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
        for pace in [
            Pace::Closed { in_flight: in_flight.max(clients) },
            Pace::Poisson { rate, seed },
            Pace::Constant { rate },
        ] {
            let simulation = Simulation::new(pace, seconds)
                .clients(clients)
                .warm_up(Duration::from_millis(300))
                .asleep(seconds / 2, seconds / 2 + Duration::from_millis(asleep));
            let mut sends = simulation::Sends::default();
            let measured = simulation.watched(&mut sends, |_, id| (id % lost != 0).then(|| Duration::from_micros(micros)));
            let phase = phase(&simulation, measured);
            let mut sent = 0;
            for totals in [phase.totals, phase.warm_up] {
                prop_assert_eq!(totals.sent, totals.ok + totals.default + totals.error + totals.timeout);
                prop_assert_eq!(totals.cancelled, 0);
                sent += totals.sent;
            }
            prop_assert_eq!(sent, sends.count() as u64);
            let answers: u64 = phase.windows.iter().map(|window| window.ok).sum();
            prop_assert_eq!(answers as f64, (phase.throughput.value * phase.totals.seconds).round());
            if let Some(intended) = simulation.intended() {
                // Each at its time or later; and all of them, in their order.
                prop_assert_eq!(sends.count(), intended.len());
                for (sent, intended) in sends.times().iter().zip(&intended) {
                    prop_assert!(sent >= intended);
                }
            }
        }
    }
}
