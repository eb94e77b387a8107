//! Loads against a server that counts its answers by status.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use frontend::Frontend;
use loadgen::{
    Arrivals, Load, LoadControl, SliceLatency, Target, WindowOpening,
    null_server::NullServer,
    stats::{KeptOutput, Totals},
};
use model::{DataType, Output};
use results::{Phase, PhaseKind};
use testkit::{Behaviour, FaultyReplica};
use transport::Frame;
use wire::query::AnswerStatus;

/// Null server that counts its answers by status.
struct CountingServer {
    server: NullServer,
    counts: Arc<[AtomicU64; 4]>,
}

impl CountingServer {
    /// Starts a server with a reply policy: the status for query number n, counted from zero over
    /// all clients.
    fn start(
        mut policy: impl FnMut(u64) -> Option<AnswerStatus> + Send + 'static,
    ) -> CountingServer {
        let counts: Arc<[AtomicU64; 4]> = Arc::default();
        let counted = counts.clone();
        let policy = move |number| {
            let status = policy(number)?;
            counted[status as usize].fetch_add(1, Relaxed);
            Some(status)
        };
        CountingServer {
            server: NullServer::start(Box::new(policy)).unwrap(),
            counts,
        }
    }

    fn load(&self) -> Load<'static> {
        Load {
            target: self.server.target("app", DataType::Bytes),
            arrivals: Arrivals::Closed { in_flight: 7 },
            send_once: false,
            seed: 3,
            cores: None,
            clients: 2,
            duration: Duration::from_millis(1200),
            opening: WindowOpening::After(Duration::from_millis(100)),
            precision: None,
            answer_timeout: Duration::from_secs(1),
            objective: None,
            trial_start: Instant::now(),
        }
    }

    /// Stops the server and returns the number of answers by status.
    fn stop(self) -> [u64; 4] {
        self.server.stop().unwrap();
        [0, 1, 2, 3].map(|status: usize| self.counts[status].load(Relaxed))
    }
}

fn inputs() -> Vec<Frame> {
    vec![Frame::from(&b"one"[..]), Frame::from(vec![7; 10_000])]
}

#[test]
fn throughput_counts_model_answers_inside_the_window() {
    let server = CountingServer::start(|n| match n % 10 {
        3 => Some(AnswerStatus::Default),
        5 => Some(AnswerStatus::Error),
        7 => Some(AnswerStatus::Refused),
        _ => Some(AnswerStatus::Ok),
    });
    let loadgen::LoadResult {
        tally,
        span,
        steady,
        ..
    } = loadgen::run(&server.load(), &inputs(), |_| LoadControl::Warm).unwrap();
    assert!(steady);
    let [ok, default, refused, error] = server.stop();
    let totals = tally.totals;
    assert!(totals.sent > 0);
    assert_eq!(totals.sent, totals.ok + totals.default + totals.error);
    assert_eq!((totals.timeout, totals.cancelled), (0, 0));
    // Queries before the window are counted separately.
    let warm_up = tally.warm_up;
    assert_eq!(totals.ok + warm_up.ok, ok);
    assert_eq!(totals.default + warm_up.default, default);
    assert_eq!(totals.error + warm_up.error, refused + error);
    assert_eq!(warm_up.sent, warm_up.ok + warm_up.default + warm_up.error);
    assert!(warm_up.ok > 0 && warm_up.seconds >= 0.1);
    assert_eq!(tally.latency.len(), totals.ok);
    assert_eq!(
        tally.first_reason.as_deref(),
        Some("set by the reply policy")
    );
    // In a closed loop, answers inside the window and answers to its queries differ by the queries
    // in flight.
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
fn queries_without_an_answer_are_timeouts() {
    // Five are lost at most, fewer than are in flight, so the load continues.
    let server =
        CountingServer::start(|n| (n == 0 || n % 50 != 0 || n > 250).then_some(AnswerStatus::Ok));
    let load = Load {
        opening: WindowOpening::Immediate,
        ..server.load()
    };
    let loadgen::LoadResult { tally, .. } =
        loadgen::run(&load, &inputs(), |_| LoadControl::Warm).unwrap();
    let totals = tally.totals;
    assert_eq!(totals.sent, totals.ok + totals.timeout);
    assert!((1..=5).contains(&totals.timeout), "{totals:?}");
    server.stop();
}

#[test]
fn query_lost_during_warm_up_is_a_warm_up_timeout() {
    let server = CountingServer::start(|n| (n != 0).then_some(AnswerStatus::Ok));
    let loadgen::LoadResult { tally, .. } =
        loadgen::run(&server.load(), &inputs(), |_| LoadControl::Warm).unwrap();
    assert_eq!((tally.warm_up.timeout, tally.totals.timeout), (1, 0));
    assert_eq!(tally.warm_up.sent, tally.warm_up.ok + 1);
    server.stop();
}

#[test]
fn queries_in_flight_at_a_stop_are_cancelled() {
    let server = CountingServer::start(|n| (n < 2000).then_some(AnswerStatus::Ok));
    let load = Load {
        duration: Duration::from_secs(3600),
        opening: WindowOpening::Immediate,
        ..server.load()
    };
    // The server falls silent, and the watcher stops the load, which would last an hour.
    let loadgen::LoadResult { tally, .. } = loadgen::run(&load, &inputs(), |at| {
        match at.measuring && at.answered == 2000 {
            true => LoadControl::Stop,
            false => LoadControl::Warm,
        }
    })
    .unwrap();
    let totals = tally.totals;
    assert_eq!(totals.timeout, 0);
    assert_eq!(totals.sent, totals.ok + totals.cancelled);
    server.stop();
}

#[test]
fn window_opens_at_half_time_if_a_replica_stays_cold() {
    let server = CountingServer::start(|_| Some(AnswerStatus::Ok));
    let load = Load {
        opening: WindowOpening::Steady(Duration::from_millis(100)),
        ..server.load()
    };
    let loadgen::LoadResult {
        tally,
        span,
        steady,
        ..
    } = loadgen::run(&load, &inputs(), |_| LoadControl::Cold).unwrap();
    assert!(!steady && span.length() <= Duration::from_millis(600));
    assert!(tally.arrived.ok > 0);
    server.stop();
}

/// Sends distinct inputs once each; the server returns the input as output.
fn send_once(server: &CountingServer, inputs: u8) -> loadgen::LoadResult {
    let load = Load {
        send_once: true,
        ..server.load()
    };
    let inputs: Vec<_> = (0..inputs).map(|n| Frame::from(vec![n])).collect();
    let mut result = loadgen::run(&load, &inputs, |_| LoadControl::Cold).unwrap();
    result.tally.outputs.sort_by_key(|kept| kept.input);
    result
}

#[test]
fn send_once_keeps_the_output_of_every_input() {
    // The first case has fewer inputs than queries in flight.
    for inputs in [1, 101] {
        let server = CountingServer::start(|_| Some(AnswerStatus::Ok));
        let loadgen::LoadResult { tally, .. } = send_once(&server, inputs);
        let expected = (0..inputs).map(|n| KeptOutput {
            input: n.into(),
            output: Output::Bytes(vec![n]),
        });
        assert!(tally.outputs.iter().cloned().eq(expected), "{tally:?}");
        let count = u64::from(inputs);
        assert_eq!((tally.totals.sent, tally.totals.ok), (count, count));
        assert_eq!(tally.warm_up.sent, 0);
        assert_eq!(server.stop(), [count, 0, 0, 0]);
    }
}

#[test]
fn send_once_keeps_only_model_outputs_and_ends() {
    // Two answers are missing. Each of the two clients has at least three queries in flight, so it
    // continues even if both are its own.
    let server = CountingServer::start(|n| match n % 20 {
        3 => Some(AnswerStatus::Default),
        5 => Some(AnswerStatus::Error),
        7 if n % 40 == 7 => None,
        _ => Some(AnswerStatus::Ok),
    });
    let loadgen::LoadResult { tally, .. } = send_once(&server, 60);
    let totals = tally.totals;
    assert_eq!((totals.sent, totals.ok, tally.outputs.len()), (60, 52, 52));
    assert_eq!((totals.default, totals.error, totals.timeout), (3, 3, 2));
    server.stop();
}

#[test]
fn silent_server_ends_a_send_once_load_with_inputs_left() {
    let server = CountingServer::start(|n| (n < 20).then_some(AnswerStatus::Ok));
    let loadgen::LoadResult { tally, .. } = send_once(&server, 100);
    assert_eq!(tally.outputs.len(), 20);
    assert_eq!((tally.totals.sent, tally.totals.timeout), (27, 7));
    server.stop();
}

/// Runs an open loop. Returns the number of queries sent, warm-up included, and the result.
fn run_open_loop(arrivals: Arrivals, server: &CountingServer) -> (u64, loadgen::LoadResult) {
    let load = Load {
        arrivals,
        answer_timeout: Duration::from_millis(200),
        ..server.load()
    };
    let measured = loadgen::run(&load, &inputs(), |_| LoadControl::Warm).unwrap();
    let tally = &measured.tally;
    (tally.totals.sent + tally.warm_up.sent, measured)
}

#[test]
fn open_loop_sends_at_its_rate_and_counts_every_query() {
    // The load lasts 1.2 s and has two clients.
    let half_a_second = Duration::from_millis(500);
    let trace: Vec<_> = (0..100).map(|n| half_a_second / 100 * n).collect();
    for (arrivals, expected) in [
        (Arrivals::Constant { rate: 2000.0 }, 2400..=2400),
        // The count has mean 1,200 and standard deviation 35.
        (Arrivals::poisson(1000.0), 1030..=1370),
        (Arrivals::at_times(trace.into()), 100..=100),
    ] {
        let server = CountingServer::start(|n| (n % 100 != 7).then_some(AnswerStatus::Ok));
        let (sent, measured) = run_open_loop(arrivals.clone(), &server);
        assert!(expected.contains(&sent), "{arrivals:?}: {sent}");
        let [ok, ..] = server.stop();
        let [totals, warm_up] = [measured.tally.totals, measured.tally.warm_up];
        assert_eq!(totals.ok + warm_up.ok, ok);
        assert_eq!(totals.timeout + warm_up.timeout, sent - ok);
        assert_eq!(measured.tally.lag.len(), totals.sent);
    }
}

#[test]
fn sends_of_an_open_loop_do_not_wait_for_answers() {
    let server = CountingServer::start(|_| None);
    let (sent, measured) = run_open_loop(Arrivals::Constant { rate: 500.0 }, &server);
    assert_eq!(sent, 600);
    let [totals, warm_up] = [measured.tally.totals, measured.tally.warm_up];
    assert_eq!(totals.timeout + warm_up.timeout, 600);
}

/// Starts a frontend and a model server that takes 20 ms for each query. Returns them with a load.
fn slow_model() -> (Frontend, FaultyReplica, Load<'static>) {
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    testkit::deploy(&frontend, 1, Duration::from_secs(3600));
    let replica = FaultyReplica::start(&frontend, Behaviour::Slow(Duration::from_millis(20)));
    let ports = frontend.ports();
    let load = Load {
        target: Target {
            answers: format!("tcp://127.0.0.1:{}", ports.send_port),
            requests: format!("tcp://127.0.0.1:{}", ports.recv_port),
            app: "app",
            input_type: DataType::Floats,
        },
        arrivals: Arrivals::poisson(500.0),
        send_once: false,
        seed: 3,
        cores: None,
        clients: 2,
        duration: Duration::from_secs(2),
        opening: WindowOpening::After(Duration::from_millis(200)),
        precision: None,
        answer_timeout: testkit::TIMEOUT,
        objective: None,
        trial_start: Instant::now(),
    };
    (frontend, replica, load)
}

/// Reads the number of queries answered by the model from the frontend's metrics.
fn predictions(frontend: &Frontend) -> u64 {
    let metrics = testkit::get(frontend, "/metrics/prometheus");
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix("clipper_predictions_total{"));
    let (_, count) = count.unwrap().split_once("} ").unwrap();
    count.parse().unwrap()
}

#[test]
fn load_above_capacity_leaves_no_queue_behind() {
    let (frontend, _replica, load) = slow_model();
    let inputs = [Frame::from(vec![0; 4])];
    loadgen::wait_until_drained(&load, &inputs, |_| LoadControl::Warm).unwrap();
    let mut measured = loadgen::run(&load, &inputs, |_| LoadControl::Warm).unwrap();
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
    // The model serves 50 queries a second at most.
    assert!(
        totals.cancelled > 500 && measured.tally.arrived.ok > 0,
        "{totals:?}"
    );
    let phase = Phase::read(PhaseKind::Latency, &load, &mut measured);
    assert!(phase.overloaded && phase.latency.is_none());
    // A later query does not wait for queries that the model had not begun.
    loadgen::wait_until_drained(&load, &inputs, |_| LoadControl::Warm).unwrap();
    let served = predictions(&frontend);
    assert!(served < 300, "{served}");
}

#[test]
fn draining_waits_until_a_full_queue_accepts_a_query() {
    let server = CountingServer::start(|n| {
        Some(if n < 3 {
            AnswerStatus::Refused
        } else {
            AnswerStatus::Ok
        })
    });
    loadgen::wait_until_drained(&server.load(), &inputs(), |_| LoadControl::Cold).unwrap();
    assert_eq!(server.stop(), [1, 0, 3, 0]);
    let silent = CountingServer::start(|_| None);
    let load = Load {
        answer_timeout: Duration::from_millis(200),
        ..silent.load()
    };
    let error = loadgen::wait_until_drained(&load, &inputs(), |_| LoadControl::Cold).unwrap_err();
    assert!(
        error.to_string().contains("has answered no query"),
        "{error}"
    );
}

#[test]
fn load_within_capacity_gets_all_its_answers() {
    let (_frontend, _replica, load) = slow_model();
    let load = Load {
        arrivals: Arrivals::Constant { rate: 20.0 },
        ..load
    };
    let loadgen::LoadResult {
        tally, overloaded, ..
    } = loadgen::run(&load, &[Frame::from(vec![0; 4])], |_| LoadControl::Warm).unwrap();
    assert!(!overloaded);
    assert_eq!(tally.totals.sent, tally.totals.ok);
}

#[test]
fn overloaded_load_is_cut_for_every_arrival_process() {
    let trace: Vec<_> = (0..2000).map(Duration::from_millis).collect();
    for arrivals in [
        Arrivals::Constant { rate: 500.0 },
        Arrivals::at_times(trace.into()),
    ] {
        let (_frontend, _replica, load) = slow_model();
        let load = Load { arrivals, ..load };
        let measured =
            loadgen::run(&load, &[Frame::from(vec![0; 4])], |_| LoadControl::Warm).unwrap();
        assert!(measured.overloaded);
        assert!(measured.tally.totals.cancelled > 500);
    }
}

#[test]
fn progress_has_queries_in_flight_and_last_slice_latency() {
    let server = CountingServer::start(|n| (n < 5000).then_some(AnswerStatus::Ok));
    let load = Load {
        duration: Duration::from_secs(3600),
        opening: WindowOpening::Immediate,
        ..server.load()
    };
    loadgen::run(&load, &inputs(), |at| {
        assert_eq!(at.planned, load.duration);
        assert!(at.measuring && at.in_phase <= at.elapsed);
        assert!(at.in_flight <= 7 && at.ok_per_second >= 0.0);
        match (at.answered, at.in_flight, at.last_slice) {
            (5000, 7, Some(SliceLatency { p50_ms, p99_ms })) => {
                assert!(0.0 < p50_ms && p50_ms <= p99_ms);
                // The null server states batches of four.
                assert_eq!(at.mean_batch, Some(4.0));
                assert!(at.queued.is_some());
                LoadControl::Stop
            }
            _ => LoadControl::Warm,
        }
    })
    .unwrap();
    server.stop();
}

/// Returns a load of one hour.
fn hour_load(server: &CountingServer) -> Load<'static> {
    Load {
        duration: Duration::from_secs(3600),
        ..server.load()
    }
}

#[test]
fn window_opens_once_the_throughput_is_steady() {
    let server = CountingServer::start(|_| Some(AnswerStatus::Ok));
    let load = Load {
        opening: WindowOpening::Steady(Duration::ZERO),
        ..hour_load(&server)
    };
    let measured = loadgen::run(&load, &inputs(), |at| match at.measuring {
        true => LoadControl::Stop,
        false => LoadControl::Warm,
    })
    .unwrap();
    assert!(measured.steady);
    server.stop();
}

#[test]
fn load_ends_early_at_its_precision_with_whole_slices() {
    let server = CountingServer::start(|_| Some(AnswerStatus::Ok));
    let closed = hour_load(&server);
    let open = Load {
        arrivals: Arrivals::Constant { rate: 500.0 },
        ..hour_load(&server)
    };
    for load in [closed, open] {
        let load = Load {
            opening: WindowOpening::Immediate,
            precision: Some(20.0),
            ..load
        };
        let mut measured = loadgen::run(&load, &inputs(), |_| LoadControl::Warm).unwrap();
        let span = measured.span;
        assert!(span.length() < Duration::from_secs(600));
        assert_eq!(span.slice_start(span.slices()), span.closes);
        let phase = Phase::read(PhaseKind::Latency, &load, &mut measured);
        assert_eq!(phase.windows.len(), span.slices());
        // A spread needs at least five slices.
        assert!(phase.windows.len() >= 5 && phase.throughput.low.is_some());
        let totals = phase.totals;
        assert_eq!((totals.sent, totals.cancelled), (totals.ok, 0));
        assert!((totals.seconds - span.length().as_secs_f64()).abs() < 1e-9);
    }
    server.stop();
}
