//! A model server with faults that a test selects.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use model::{DataType, Output, Predictions};
use wire::rpc::{BatchError, ErrorCode, FromContainer, FromFrontend, NewContainer};

use crate::{
    HasPorts,
    peer::{Peer, inputs, registration},
};

/// Behaviour of a [`FaultyReplica`]. Inputs are single floats; the correct output is twice the
/// input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Behaviour {
    /// Answers correctly.
    Correct,
    /// Answers correctly after a delay.
    Slow(Duration),
    /// Takes batches and does not answer them; continues to send heartbeats.
    Hang,
    /// Closes the connection during a batch, for good.
    Crash,
    /// Neither receives nor sends.
    Silent,
    /// Returns this number of outputs for any batch.
    Outputs(usize),
    /// Fails every batch as a whole, after 1 ms.
    Fail,
    /// Runs out of memory for batches of more inputs than this; answers smaller ones correctly.
    OutOfMemory(usize),
    /// Returns NaN.
    NotANumber,
    /// Returns text in place of floats.
    Texts,
    /// Sends bytes that are not a valid message.
    Garbage,
    /// Answers a batch that does not exist, then the current one correctly.
    Unsolicited,
    /// Answers correctly, then once more with wrong outputs.
    Duplicate,
    /// Registers again this number of times, then answers correctly.
    RegistrationStorm(usize),
}

/// A version-4 replica of model `m` with one batch in flight. Dropping it closes its connection.
pub struct FaultyReplica {
    behaviour: Arc<Mutex<Behaviour>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FaultyReplica {
    /// Registers a replica, and serves on another thread.
    pub fn start(frontend: &impl HasPorts, behaviour: Behaviour) -> FaultyReplica {
        let shared = Arc::new(Mutex::new(behaviour));
        let stop = Arc::new(AtomicBool::new(false));
        let mut replica = ReplicaLoop::connect(frontend.ports().rpc_service_port);
        let (behaviour, stopped) = (shared.clone(), stop.clone());
        let serve = move || {
            while !stopped.load(Relaxed) {
                replica.turn(|| *behaviour.lock().unwrap_or_else(PoisonError::into_inner));
            }
        };
        FaultyReplica {
            behaviour: shared,
            stop,
            thread: Some(thread::spawn(serve)),
        }
    }

    /// Sets the behaviour from the next batch on.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        *self
            .behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = behaviour;
    }
}

impl Drop for FaultyReplica {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread has printed its panic.
            let _ = thread.join();
        }
    }
}

/// State of the serving thread.
struct ReplicaLoop {
    port: u16,
    /// `None` after a crash.
    peer: Option<Peer>,
    last_heartbeat: Instant,
    /// Number of registrations left; `None` before a registration storm.
    registrations_left: Option<usize>,
}

/// Interval at which the behaviour is read.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);

impl ReplicaLoop {
    fn connect(port: u16) -> ReplicaLoop {
        ReplicaLoop {
            port,
            peer: Some(join(port)),
            last_heartbeat: Instant::now(),
            registrations_left: None,
        }
    }

    /// Reads the behaviour once more after a message, because it may have changed while waiting.
    fn turn(&mut self, behaviour: impl Fn() -> Behaviour) {
        let peer = self.peer.as_mut();
        let Some(peer) = peer.filter(|_| behaviour() != Behaviour::Silent) else {
            return thread::sleep(POLL_INTERVAL);
        };
        if let Behaviour::RegistrationStorm(times) = behaviour() {
            let left = self.registrations_left.get_or_insert(times);
            if *left > 0 {
                *left -= 1;
                *peer = join(self.port);
                return;
            }
        }
        if self.last_heartbeat.elapsed() > HEARTBEAT_INTERVAL {
            self.last_heartbeat = Instant::now();
            peer.send_with(FromContainer::encode_heartbeat);
        }
        let Some(message) = peer.recv_within(POLL_INTERVAL) else {
            return;
        };
        let behaviour = behaviour();
        match FromFrontend::decode(&message) {
            Ok(FromFrontend::MetadataWanted) => {
                peer.send_with(|frames| registration_of_m().encode(frames));
            }
            Ok(FromFrontend::Request(_)) if behaviour == Behaviour::Crash => self.peer = None,
            Ok(FromFrontend::Request(_)) => answer(peer, &message, behaviour),
            _ => {}
        }
    }
}

fn join(port: u16) -> Peer {
    let mut peer = Peer::connect(port);
    peer.register(&registration_of_m());
    peer
}

fn registration_of_m() -> NewContainer {
    registration("1", DataType::Floats, 1)
}

fn answer(peer: &mut Peer, request: &[Vec<u8>], behaviour: Behaviour) {
    let floats: Vec<f32> = inputs(request)
        .iter()
        .map(|input| 2.0 * f32::from_le_bytes(input[..].try_into().unwrap()))
        .collect();
    let all = |value: f32| vec![Ok(Output::Floats(vec![value])); floats.len()];
    let correct: Predictions = floats
        .iter()
        .map(|value| Ok(Output::Floats(vec![*value])))
        .collect();
    let floats_type = DataType::Floats;
    match behaviour {
        Behaviour::Hang | Behaviour::Crash | Behaviour::Silent => {}
        Behaviour::Correct | Behaviour::RegistrationStorm(_) => {
            peer.reply(request, floats_type, correct);
        }
        Behaviour::Slow(delay) => {
            thread::sleep(delay);
            peer.reply(request, floats_type, correct);
        }
        Behaviour::Outputs(count) => {
            peer.reply(
                request,
                floats_type,
                vec![Ok(Output::Floats(vec![1.0])); count],
            );
        }
        Behaviour::Fail => {
            thread::sleep(Duration::from_millis(1));
            fail(peer, request, "boom");
        }
        Behaviour::OutOfMemory(most) if floats.len() > most => {
            fail(peer, request, "CUDA failure 2: Out of Memory");
        }
        Behaviour::OutOfMemory(_) => peer.reply(request, floats_type, correct),
        Behaviour::NotANumber => peer.reply(request, floats_type, all(f32::NAN)),
        Behaviour::Texts => {
            let text = Ok(Output::Text("two".to_owned()));
            peer.reply(request, DataType::Strings, vec![text; floats.len()]);
        }
        Behaviour::Garbage => peer.send(&[vec![], vec![1, 0, 0, 0], vec![0xff; 7]]),
        Behaviour::Unsolicited => {
            let mut unsolicited = request.to_vec();
            // The message id follows the session.
            unsolicited[3][8] ^= 0x80;
            peer.reply(&unsolicited, floats_type, all(-1.0));
            peer.reply(request, floats_type, correct);
        }
        Behaviour::Duplicate => {
            peer.reply(request, floats_type, correct);
            peer.reply(request, floats_type, all(-1.0));
        }
    }
}

/// Answers a request with an error for the whole batch.
fn fail(peer: &mut Peer, request: &[Vec<u8>], text: &str) {
    let Ok(FromFrontend::Request(request)) = FromFrontend::decode(request) else {
        panic!("no request");
    };
    let error = BatchError {
        session: request.head.session.unwrap(),
        message_id: request.head.message_id,
        code: ErrorCode::ModelFailed,
        text,
    };
    peer.send_with(|frames| error.encode(frames));
}
