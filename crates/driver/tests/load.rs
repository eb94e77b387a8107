//! The load against a frontend whose truth is known: it counts what it answers, and how.
#![expect(clippy::unwrap_used, reason = "what a test stands on may panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use driver::load::{self, Load, Verdict};
use model::{DataType, Output};
use transport::Frame;
use wire::query::{Answer, Connected, Dialect, Lineage, Request, Status, Timing, decode_connect};

/// What the frontend does with query number n, counted from zero over all clients.
type Fate = fn(u64) -> Option<Status>;

/// Answers at once with the input, in batches of four as it says.
struct FakeFrontend {
    answers: String,
    requests: String,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<[u64; 4]>,
}

impl FakeFrontend {
    fn start(fate: Fate) -> FakeFrontend {
        let context = zmq::Context::new();
        let (answers, answers_at) = router(&context);
        let (requests, requests_at) = router(&context);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        FakeFrontend {
            answers: answers_at,
            requests: requests_at,
            stop,
            thread: thread::spawn(move || serve(answers, requests, fate, &stopped)),
        }
    }

    fn load(&self) -> Load<'static> {
        Load {
            answers: self.answers.clone(),
            requests: self.requests.clone(),
            app: "app",
            input_type: DataType::Bytes,
            cores: None,
            clients: 2,
            in_flight: 7,
            once: false,
            duration: Duration::from_millis(1200),
            warm_up: Duration::from_millis(100),
            patience: Duration::from_secs(1),
        }
    }

    /// Answers sent, by status.
    fn stop(self) -> [u64; 4] {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

fn router(context: &zmq::Context) -> (zmq::Socket, String) {
    let socket = context.socket(zmq::ROUTER).unwrap();
    socket.set_sndhwm(0).unwrap();
    socket.set_rcvhwm(0).unwrap();
    socket.bind("tcp://127.0.0.1:*").unwrap();
    let endpoint = socket.get_last_endpoint().unwrap().unwrap();
    (socket, endpoint)
}

fn serve(
    mut answers: zmq::Socket,
    mut requests: zmq::Socket,
    fate: Fate,
    stop: &AtomicBool,
) -> [u64; 4] {
    let mut clients: Vec<Frame> = Vec::new();
    let mut counts = [0; 4];
    let mut number = 0;
    let mut message = Vec::new();
    while !stop.load(Relaxed) {
        let mut items = [
            answers.as_poll_item(zmq::POLLIN),
            requests.as_poll_item(zmq::POLLIN),
        ];
        zmq::poll(&mut items, 10).unwrap();
        while transport::recv(&mut answers, &mut message).unwrap() {
            assert_eq!(decode_connect(&message[1..]), Ok(Some(Dialect::Native)));
            let connected = Connected {
                session: 77,
                client_id: clients.len() as u32,
            };
            clients.push(message.swap_remove(0));
            let mut reply = vec![clients[connected.client_id as usize].clone()];
            connected.encode(Dialect::Native, &mut reply);
            transport::send(&mut answers, &mut reply).unwrap();
        }
        while transport::recv(&mut requests, &mut message).unwrap() {
            let request = Request::decode(&message[1..]).unwrap();
            assert_eq!((request.session, request.app), (Some(77), "app"));
            let fate = fate(number);
            number += 1;
            let Some(status) = fate else { continue };
            counts[status as usize] += 1;
            let mut reply = vec![clients[request.client_id as usize].clone()];
            answer(&request, status).encode(Dialect::Native, &mut reply);
            transport::send(&mut answers, &mut reply).unwrap();
        }
    }
    counts
}

fn answer<'a>(request: &'a Request<'a, Frame>, status: Status) -> Answer<'a> {
    Answer {
        session: 77,
        request_id: request.request_id,
        status,
        reason: if status == Status::Ok {
            ""
        } else {
            "as the test wants it"
        },
        output_type: DataType::Bytes,
        output: request.input.as_ref(),
        timing: Timing {
            batch_size: 4,
            predicting: 50,
            ..Timing::default()
        },
        lineage: Lineage::default(),
    }
}

fn inputs() -> Vec<Frame> {
    vec![Frame::from(&b"one"[..]), Frame::from(vec![7; 10_000])]
}

#[test]
fn throughput_is_the_models_answers_inside_the_window_and_everything_is_counted() {
    let frontend = FakeFrontend::start(|n| match n % 10 {
        3 => Some(Status::Default),
        5 => Some(Status::Error),
        7 => Some(Status::Refused),
        _ => Some(Status::Ok),
    });
    let load::Measured { tally, span, warm } =
        load::run(&frontend.load(), &inputs(), |_| Verdict::Warm).unwrap();
    assert!(warm);
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
    assert_eq!(tally.first_reason.as_deref(), Some("as the test wants it"));
    // In a closed loop, answers inside the window and answers to its queries differ by what is in flight.
    assert!(tally.arrived.ok.abs_diff(totals.ok) <= 7, "{tally:?}");
    assert_eq!(
        tally.slices.iter().map(|slice| slice.ok).sum::<u64>(),
        tally.arrived.ok
    );
    assert!((tally.arrived.batches * 4.0 / tally.arrived.ok as f64 - 1.0).abs() < 1e-9);
    assert_eq!(tally.arrived.micros[3], 50 * tally.arrived.ok);
    assert!((totals.seconds - span.length().as_secs_f64()).abs() < 1e-9);
}

#[test]
fn queries_without_an_answer_are_timeouts_and_do_not_hold_the_load_up() {
    // From the 1001st on, every 1000th is lost: less than what is in flight, so the rest goes on.
    let frontend =
        FakeFrontend::start(|n| (n == 0 || n % 1000 != 0 || n > 5000).then_some(Status::Ok));
    let load = Load {
        warm_up: Duration::ZERO,
        ..frontend.load()
    };
    let load::Measured { tally, .. } = load::run(&load, &inputs(), |_| Verdict::Warm).unwrap();
    let totals = tally.totals;
    assert_eq!(totals.sent, totals.ok + totals.timeout);
    assert!((1..=5).contains(&totals.timeout), "{totals:?}");
    frontend.stop();
}

#[test]
fn a_query_that_is_lost_during_warm_up_is_a_timeout_of_the_warm_up() {
    let frontend = FakeFrontend::start(|n| (n != 0).then_some(Status::Ok));
    let load::Measured { tally, .. } =
        load::run(&frontend.load(), &inputs(), |_| Verdict::Warm).unwrap();
    assert_eq!((tally.warm_up.timeout, tally.totals.timeout), (1, 0));
    assert_eq!(tally.warm_up.sent, tally.warm_up.ok + 1);
    frontend.stop();
}

#[test]
fn what_is_in_flight_when_the_load_is_stopped_is_cancelled() {
    let frontend = FakeFrontend::start(|n| (n < 2000).then_some(Status::Ok));
    let load = Load {
        duration: Duration::from_secs(3600),
        warm_up: Duration::ZERO,
        ..frontend.load()
    };
    // The frontend falls silent; the watcher sees it, and ends what would last an hour.
    let load::Measured { tally, .. } = load::run(&load, &inputs(), |at| {
        match at.measuring && at.answered == 2000 {
            true => Verdict::Stop,
            false => Verdict::Warm,
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
    let frontend = FakeFrontend::start(|_| Some(Status::Ok));
    let load::Measured { tally, span, warm } =
        load::run(&frontend.load(), &inputs(), |_| Verdict::Cold).unwrap();
    assert!(!warm && span.length() <= Duration::from_millis(600));
    assert!(tally.arrived.ok > 0);
    frontend.stop();
}

/// An accuracy run of inputs that are all different; what is answered is the input itself.
fn ask_once(frontend: &FakeFrontend, inputs: u8) -> load::Measured {
    let load = Load {
        once: true,
        ..frontend.load()
    };
    let inputs: Vec<_> = (0..inputs).map(|n| Frame::from(vec![n])).collect();
    let mut measured = load::run(&load, &inputs, |_| Verdict::Cold).unwrap();
    measured.tally.outputs.sort_by_key(|output| output.0);
    measured
}

#[test]
fn in_an_accuracy_run_every_input_is_sent_once_and_its_answer_kept_with_it() {
    // Fewer inputs than are in flight, too.
    for inputs in [1, 101] {
        let frontend = FakeFrontend::start(|_| Some(Status::Ok));
        let load::Measured { tally, .. } = ask_once(&frontend, inputs);
        let expected = (0..inputs).map(|n| (n.into(), Output::Bytes(vec![n])));
        assert!(tally.outputs.iter().cloned().eq(expected), "{tally:?}");
        let count = u64::from(inputs);
        assert_eq!((tally.totals.sent, tally.totals.ok), (count, count));
        assert_eq!(tally.warm_up.sent, 0);
        assert_eq!(frontend.stop(), [count, 0, 0, 0]);
    }
}

#[test]
fn an_accuracy_run_keeps_the_models_answers_only_and_ends_without_those_that_never_come() {
    let frontend = FakeFrontend::start(|n| match n % 20 {
        3 => Some(Status::Default),
        5 => Some(Status::Error),
        7 => None,
        _ => Some(Status::Ok),
    });
    let load::Measured { tally, .. } = ask_once(&frontend, 60);
    let totals = tally.totals;
    assert_eq!((totals.sent, totals.ok, tally.outputs.len()), (60, 51, 51));
    assert_eq!((totals.default, totals.error, totals.timeout), (3, 3, 3));
    frontend.stop();
}

#[test]
fn a_frontend_that_falls_silent_ends_an_accuracy_run_with_inputs_left() {
    let frontend = FakeFrontend::start(|n| (n < 20).then_some(Status::Ok));
    let load::Measured { tally, .. } = ask_once(&frontend, 100);
    assert_eq!(tally.outputs.len(), 20);
    assert_eq!((tally.totals.sent, tally.totals.timeout), (27, 7));
    frontend.stop();
}
