//! The load against a frontend whose truth is known: it counts what it answers, and how.
#![expect(clippy::unwrap_used, reason = "what a test stands on may panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ::frontend::Frontend as RealFrontend;
use loadgen::{
    Arrivals, Go, Load, Opening, SliceLatency, Target,
    null_server::NullServer,
    stats::{KeptOutput, Totals},
};
use model::{DataType, Output};
use results::{Phase, PhaseKind};
use testkit::{Behaviour, FaultyReplica};
use transport::Frame;
use wire::query::Status;

/// A server that does with query number n, counted from zero over all clients, what it is told, and counts its answers.
struct Frontend {
    server: NullServer,
    counts: Arc<[AtomicU64; 4]>,
}

impl Frontend {
    fn start(mut fate: impl FnMut(u64) -> Option<Status> + Send + 'static) -> Frontend {
        let counts: Arc<[AtomicU64; 4]> = Arc::default();
        let counted = counts.clone();
        let fate = move |number| {
            let status = fate(number)?;
            counted[status as usize].fetch_add(1, Relaxed);
            Some(status)
        };
        Frontend {
            server: NullServer::start(Box::new(fate)).unwrap(),
            counts,
        }
    }

    fn load(&self) -> Load<'static> {
        Load {
            target: self.server.target("app", DataType::Bytes),
            arrivals: Arrivals::Closed { in_flight: 7 },
            once: false,
            seed: 3,
            cores: None,
            clients: 2,
            duration: Duration::from_millis(1200),
            opening: Opening::After(Duration::from_millis(100)),
            until: None,
            patience: Duration::from_secs(1),
            objective: None,
            since: Instant::now(),
        }
    }

    /// Answers sent, by status.
    fn stop(self) -> [u64; 4] {
        self.server.stop().unwrap();
        [0, 1, 2, 3].map(|status: usize| self.counts[status].load(Relaxed))
    }
}

fn inputs() -> Vec<Frame> {
    vec![Frame::from(&b"one"[..]), Frame::from(vec![7; 10_000])]
}

#[test]
fn throughput_is_the_models_answers_inside_the_window_and_everything_is_counted() {
    let frontend = Frontend::start(|n| match n % 10 {
        3 => Some(Status::Default),
        5 => Some(Status::Error),
        7 => Some(Status::Refused),
        _ => Some(Status::Ok),
    });
    let loadgen::Measured {
        tally,
        span,
        steady,
        ..
    } = loadgen::run(&frontend.load(), &inputs(), |_| Go::Warm).unwrap();
    assert!(steady);
    let [ok, default, refused, error] = frontend.stop();
    let totals = tally.totals;
    assert!(totals.sent > 0);
    assert_eq!(totals.sent, totals.ok + totals.default + totals.error);
    assert_eq!((totals.timeout, totals.cancelled), (0, 0));
    // What came before the window was answered, and is counted apart.
    let warm_up = tally.warm_up;
    assert_eq!(totals.ok + warm_up.ok, ok);
    assert_eq!(totals.default + warm_up.default, default);
    assert_eq!(totals.error + warm_up.error, refused + error);
    assert_eq!(warm_up.sent, warm_up.ok + warm_up.default + warm_up.error);
    assert!(warm_up.ok > 0 && warm_up.seconds >= 0.1);
    assert_eq!(tally.latency.len(), totals.ok);
    assert_eq!(tally.first_reason.as_deref(), Some("it was told to"));
    // In a closed loop, answers inside the window and answers to its queries differ by what is in flight.
    assert!(tally.arrived.ok.abs_diff(totals.ok) <= 7, "{tally:?}");
    assert_eq!(
        tally
            .slices
            .iter()
            .map(|slice| slice.arrived.ok)
            .sum::<u64>(),
        tally.arrived.ok
    );
    assert!((tally.arrived.batches * 4.0 / tally.arrived.ok as f64 - 1.0).abs() < 1e-9);
    assert_eq!(tally.arrived.micros.predicting, 50 * tally.arrived.ok);
    assert!((totals.seconds - span.length().as_secs_f64()).abs() < 1e-9);
}

#[test]
fn queries_without_an_answer_are_timeouts_and_do_not_hold_the_load_up() {
    // Five at most are lost: less than what is in flight, so the rest goes on.
    let frontend = Frontend::start(|n| (n == 0 || n % 50 != 0 || n > 250).then_some(Status::Ok));
    let load = Load {
        opening: Opening::AtOnce,
        ..frontend.load()
    };
    let loadgen::Measured { tally, .. } = loadgen::run(&load, &inputs(), |_| Go::Warm).unwrap();
    let totals = tally.totals;
    assert_eq!(totals.sent, totals.ok + totals.timeout);
    assert!((1..=5).contains(&totals.timeout), "{totals:?}");
    frontend.stop();
}

#[test]
fn a_query_that_is_lost_during_warm_up_is_a_timeout_of_the_warm_up() {
    let frontend = Frontend::start(|n| (n != 0).then_some(Status::Ok));
    let loadgen::Measured { tally, .. } =
        loadgen::run(&frontend.load(), &inputs(), |_| Go::Warm).unwrap();
    assert_eq!((tally.warm_up.timeout, tally.totals.timeout), (1, 0));
    assert_eq!(tally.warm_up.sent, tally.warm_up.ok + 1);
    frontend.stop();
}

#[test]
fn what_is_in_flight_when_the_load_is_stopped_is_cancelled() {
    let frontend = Frontend::start(|n| (n < 2000).then_some(Status::Ok));
    let load = Load {
        duration: Duration::from_secs(3600),
        opening: Opening::AtOnce,
        ..frontend.load()
    };
    // The frontend falls silent; the watcher sees it, and ends what would last an hour.
    let loadgen::Measured { tally, .. } = loadgen::run(&load, &inputs(), |at| {
        match at.measuring && at.answered == 2000 {
            true => Go::Stop,
            false => Go::Warm,
        }
    })
    .unwrap();
    let totals = tally.totals;
    assert_eq!(totals.timeout, 0);
    assert_eq!(totals.sent, totals.ok + totals.cancelled);
    frontend.stop();
}

#[test]
fn the_window_opens_at_half_time_if_a_replica_never_works() {
    let frontend = Frontend::start(|_| Some(Status::Ok));
    let load = Load {
        opening: Opening::Steady(Duration::from_millis(100)),
        ..frontend.load()
    };
    let loadgen::Measured {
        tally,
        span,
        steady,
        ..
    } = loadgen::run(&load, &inputs(), |_| Go::Cold).unwrap();
    assert!(!steady && span.length() <= Duration::from_millis(600));
    assert!(tally.arrived.ok > 0);
    frontend.stop();
}

/// An accuracy run of inputs that are all different; what is answered is the input itself.
fn ask_once(frontend: &Frontend, inputs: u8) -> loadgen::Measured {
    let load = Load {
        once: true,
        ..frontend.load()
    };
    let inputs: Vec<_> = (0..inputs).map(|n| Frame::from(vec![n])).collect();
    let mut measured = loadgen::run(&load, &inputs, |_| Go::Cold).unwrap();
    measured.tally.outputs.sort_by_key(|kept| kept.input);
    measured
}

#[test]
fn in_an_accuracy_run_every_input_is_sent_once_and_its_answer_kept_with_it() {
    // Fewer inputs than are in flight, too.
    for inputs in [1, 101] {
        let frontend = Frontend::start(|_| Some(Status::Ok));
        let loadgen::Measured { tally, .. } = ask_once(&frontend, inputs);
        let expected = (0..inputs).map(|n| KeptOutput {
            input: n.into(),
            output: Output::Bytes(vec![n]),
        });
        assert!(tally.outputs.iter().cloned().eq(expected), "{tally:?}");
        let count = u64::from(inputs);
        assert_eq!((tally.totals.sent, tally.totals.ok), (count, count));
        assert_eq!(tally.warm_up.sent, 0);
        assert_eq!(frontend.stop(), [count, 0, 0, 0]);
    }
}

#[test]
fn an_accuracy_run_keeps_the_models_answers_only_and_ends_without_those_that_never_come() {
    // Two never come: each of the two clients may have three in flight, and could go on if both were its own.
    let frontend = Frontend::start(|n| match n % 20 {
        3 => Some(Status::Default),
        5 => Some(Status::Error),
        7 if n % 40 == 7 => None,
        _ => Some(Status::Ok),
    });
    let loadgen::Measured { tally, .. } = ask_once(&frontend, 60);
    let totals = tally.totals;
    assert_eq!((totals.sent, totals.ok, tally.outputs.len()), (60, 52, 52));
    assert_eq!((totals.default, totals.error, totals.timeout), (3, 3, 2));
    frontend.stop();
}

#[test]
fn a_frontend_that_falls_silent_ends_an_accuracy_run_with_inputs_left() {
    let frontend = Frontend::start(|n| (n < 20).then_some(Status::Ok));
    let loadgen::Measured { tally, .. } = ask_once(&frontend, 100);
    assert_eq!(tally.outputs.len(), 20);
    assert_eq!((tally.totals.sent, tally.totals.timeout), (27, 7));
    frontend.stop();
}

/// Every query that was sent as they were to arrive, whatever became of it.
fn sent_at(arrivals: Arrivals, frontend: &Frontend) -> (u64, loadgen::Measured) {
    let load = Load {
        arrivals,
        patience: Duration::from_millis(200),
        ..frontend.load()
    };
    let measured = loadgen::run(&load, &inputs(), |_| Go::Warm).unwrap();
    let tally = &measured.tally;
    (tally.totals.sent + tally.warm_up.sent, measured)
}

#[test]
fn an_open_loop_sends_at_the_asked_rate_and_everything_is_counted() {
    // 1.2 s, with two clients.
    let half_a_second = Duration::from_millis(500);
    let trace: Vec<_> = (0..100).map(|n| half_a_second / 100 * n).collect();
    for (arrivals, expected) in [
        (Arrivals::Constant { rate: 2000.0 }, 2400..=2400),
        // 1,200 in the mean, with a standard deviation of 35.
        (Arrivals::poisson(1000.0), 1030..=1370),
        (Arrivals::at_times(trace.into()), 100..=100),
    ] {
        let frontend = Frontend::start(|n| (n % 100 != 7).then_some(Status::Ok));
        let (sent, measured) = sent_at(arrivals.clone(), &frontend);
        assert!(expected.contains(&sent), "{arrivals:?}: {sent}");
        let [ok, ..] = frontend.stop();
        let [totals, warm_up] = [measured.tally.totals, measured.tally.warm_up];
        assert_eq!(totals.ok + warm_up.ok, ok);
        assert_eq!(totals.timeout + warm_up.timeout, sent - ok);
        assert_eq!(measured.tally.lag.len(), totals.sent);
    }
}

#[test]
fn sends_of_an_open_loop_do_not_wait_for_answers() {
    let frontend = Frontend::start(|_| None);
    let (sent, measured) = sent_at(Arrivals::Constant { rate: 500.0 }, &frontend);
    assert_eq!(sent, 600);
    let [totals, warm_up] = [measured.tally.totals, measured.tally.warm_up];
    assert_eq!(totals.timeout + warm_up.timeout, 600);
}

/// A frontend with a model server that takes 20 ms for each query, and a load of it.
fn slow_model() -> (RealFrontend, FaultyReplica, Load<'static>) {
    let frontend = RealFrontend::start(&testkit::settings()).unwrap();
    testkit::deploy(&frontend, 1, Duration::from_secs(3600));
    let server = FaultyReplica::start(&frontend, Behaviour::Slow(Duration::from_millis(20)));
    let ports = frontend.ports();
    let load = Load {
        target: Target {
            answers: format!("tcp://127.0.0.1:{}", ports.send_port),
            requests: format!("tcp://127.0.0.1:{}", ports.recv_port),
            app: "app",
            input_type: DataType::Floats,
        },
        arrivals: Arrivals::poisson(500.0),
        once: false,
        seed: 3,
        cores: None,
        clients: 2,
        duration: Duration::from_secs(2),
        opening: Opening::After(Duration::from_millis(200)),
        until: None,
        patience: testkit::PATIENCE,
        objective: None,
        since: Instant::now(),
    };
    (frontend, server, load)
}

/// Queries that the model has answered, as the frontend counts them.
fn predictions(frontend: &RealFrontend) -> u64 {
    let metrics = testkit::get(frontend, "/metrics/prometheus");
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix("clipper_predictions_total{"));
    let (_, count) = count.unwrap().split_once("} ").unwrap();
    count.parse().unwrap()
}

#[test]
fn a_load_above_capacity_leaves_no_queue_behind() {
    let (frontend, _server, load) = slow_model();
    let inputs = [Frame::from(vec![0; 4])];
    loadgen::settle(&load, &inputs, |_| Go::Warm).unwrap();
    let mut measured = loadgen::run(&load, &inputs, |_| Go::Warm).unwrap();
    let [totals, warm_up] = [measured.tally.totals, measured.tally.warm_up];
    assert!(measured.overloaded);
    for Totals {
        sent,
        ok,
        cancelled,
        ..
    } in [totals, warm_up]
    {
        assert_eq!(sent, ok + cancelled);
    }
    // It served 50 a second at most.
    assert!(
        totals.cancelled > 500 && measured.tally.arrived.ok > 0,
        "{totals:?}"
    );
    let phase = Phase::read(PhaseKind::Latency, &load, &mut measured);
    assert!(phase.overloaded && phase.latency.is_none());
    // A query that comes later does not wait for what the model had not begun.
    loadgen::settle(&load, &inputs, |_| Go::Warm).unwrap();
    let served = predictions(&frontend);
    assert!(served < 300, "{served}");
}

#[test]
fn settling_waits_until_a_full_queue_takes_a_query() {
    let frontend = Frontend::start(|n| Some(if n < 3 { Status::Refused } else { Status::Ok }));
    loadgen::settle(&frontend.load(), &inputs(), |_| Go::Cold).unwrap();
    assert_eq!(frontend.stop(), [1, 0, 3, 0]);
    let silent = Frontend::start(|_| None);
    let load = Load {
        patience: Duration::from_millis(200),
        ..silent.load()
    };
    let error = loadgen::settle(&load, &inputs(), |_| Go::Cold).unwrap_err();
    assert!(
        error.to_string().contains("has answered no query"),
        "{error}"
    );
}

#[test]
fn a_load_within_capacity_gets_all_its_answers() {
    let (_frontend, _server, load) = slow_model();
    let load = Load {
        arrivals: Arrivals::Constant { rate: 20.0 },
        ..load
    };
    let loadgen::Measured {
        tally, overloaded, ..
    } = loadgen::run(&load, &[Frame::from(vec![0; 4])], |_| Go::Warm).unwrap();
    assert!(!overloaded);
    assert_eq!(tally.totals.sent, tally.totals.ok);
}

#[test]
fn an_overloaded_load_is_cut_whatever_its_arrival_process() {
    let trace: Vec<_> = (0..2000).map(Duration::from_millis).collect();
    for arrivals in [
        Arrivals::Constant { rate: 500.0 },
        Arrivals::at_times(trace.into()),
    ] {
        let (_frontend, _server, load) = slow_model();
        let load = Load { arrivals, ..load };
        let measured = loadgen::run(&load, &[Frame::from(vec![0; 4])], |_| Go::Warm).unwrap();
        assert!(measured.overloaded);
        assert!(measured.tally.totals.cancelled > 500);
    }
}

#[test]
fn the_watcher_sees_the_phase_what_is_in_flight_and_the_latency_of_the_last_slice() {
    let frontend = Frontend::start(|n| (n < 5000).then_some(Status::Ok));
    let load = Load {
        duration: Duration::from_secs(3600),
        opening: Opening::AtOnce,
        ..frontend.load()
    };
    loadgen::run(&load, &inputs(), |at| {
        assert_eq!(at.planned, load.duration);
        assert!(at.measuring && at.in_phase <= at.elapsed);
        assert!(at.in_flight <= 7 && at.ok_per_second >= 0.0);
        match (at.answered, at.in_flight, at.last_slice) {
            (5000, 7, Some(SliceLatency { p50_ms, p99_ms })) => {
                assert!(0.0 < p50_ms && p50_ms <= p99_ms);
                // It says that each was one of four.
                assert_eq!(at.mean_batch, Some(4.0));
                assert!(at.queued.is_some());
                Go::Stop
            }
            _ => Go::Warm,
        }
    })
    .unwrap();
    frontend.stop();
}

/// Like the load of most tests, but for an hour.
fn for_an_hour(frontend: &Frontend) -> Load<'static> {
    Load {
        duration: Duration::from_secs(3600),
        ..frontend.load()
    }
}

#[test]
fn the_window_opens_as_soon_as_what_is_answered_is_steady() {
    let frontend = Frontend::start(|_| Some(Status::Ok));
    let load = Load {
        opening: Opening::Steady(Duration::ZERO),
        ..for_an_hour(&frontend)
    };
    let measured = loadgen::run(&load, &inputs(), |at| match at.measuring {
        true => Go::Stop,
        false => Go::Warm,
    })
    .unwrap();
    assert!(measured.steady);
    frontend.stop();
}

#[test]
fn a_phase_whose_figure_is_known_well_enough_ends_early_with_whole_slices() {
    let frontend = Frontend::start(|_| Some(Status::Ok));
    let closed = for_an_hour(&frontend);
    let open = Load {
        arrivals: Arrivals::Constant { rate: 500.0 },
        ..for_an_hour(&frontend)
    };
    for load in [closed, open] {
        let load = Load {
            opening: Opening::AtOnce,
            until: Some(20.0),
            ..load
        };
        let mut measured = loadgen::run(&load, &inputs(), |_| Go::Warm).unwrap();
        let span = measured.span;
        assert!(span.length() < Duration::from_secs(600));
        assert_eq!(span.slice_begins(span.slices()), span.closes);
        let phase = Phase::read(PhaseKind::Latency, &load, &mut measured);
        assert_eq!(phase.windows.len(), span.slices());
        // A spread is read off five slices at least.
        assert!(phase.windows.len() >= 5 && phase.throughput.low.is_some());
        let totals = phase.totals;
        assert_eq!((totals.sent, totals.cancelled), (totals.ok, 0));
        assert!((totals.seconds - span.length().as_secs_f64()).abs() < 1e-9);
    }
    frontend.stop();
}
