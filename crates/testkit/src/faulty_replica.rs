//! A model server that goes wrong on command.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use model::{DataType, Output, Predictions};
use wire::rpc::{FromContainer, FromFrontend, NewContainer};

use crate::{
    Serves,
    peer::{Peer, inputs, registration},
};

/// What to do with batches; inputs are single floats, the right answer is twice the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Behaviour {
    /// Answer rightly.
    Right,
    /// The same, so much later.
    Slow(Duration),
    /// Take batches and answer none; heartbeats go on.
    Hang,
    /// Break the connection in the middle of a batch, and never come back.
    Crash,
    /// Neither hear nor say anything.
    Silent,
    /// So many outputs, whatever was asked.
    Outputs(usize),
    /// Outputs that are no numbers.
    NotANumber,
    /// Outputs that are texts, though floats were asked for.
    Texts,
    /// Answer with what is no message.
    Garbage,
    /// Answer a question that was never asked, then rightly.
    Unasked,
    /// Answer rightly, then wrongly.
    Twice,
    /// Register anew so many times, then answer rightly.
    Storm(usize),
}

/// A version-4 replica of model `m`, one batch in flight. Dropping it breaks its connection.
pub struct FaultyReplica {
    behaviour: Arc<Mutex<Behaviour>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FaultyReplica {
    /// Registers.
    pub fn start(frontend: &impl Serves, behaviour: Behaviour) -> FaultyReplica {
        let shared = Arc::new(Mutex::new(behaviour));
        let stop = Arc::new(AtomicBool::new(false));
        let mut server = Server::connect(frontend.ports().rpc_service_port);
        let (behaviour, stopped) = (shared.clone(), stop.clone());
        let serve = move || {
            while !stopped.load(Relaxed) {
                server.turn(|| *behaviour.lock().unwrap_or_else(PoisonError::into_inner));
            }
        };
        FaultyReplica {
            behaviour: shared,
            stop,
            thread: Some(thread::spawn(serve)),
        }
    }

    /// From the next batch on.
    pub fn behave(&self, behaviour: Behaviour) {
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
            // Its panic has been printed.
            let _ = thread.join();
        }
    }
}

struct Server {
    port: u16,
    /// None once it has crashed.
    peer: Option<Peer>,
    beat: Instant,
    /// How many times it still has to register anew; none before it was told.
    storm: Option<usize>,
}

/// How often to look at what is wanted, and to say that we live.
const TURN: Duration = Duration::from_millis(5);
const HEARTBEAT: Duration = Duration::from_millis(500);

impl Server {
    fn connect(port: u16) -> Server {
        Server {
            port,
            peer: Some(join(port)),
            beat: Instant::now(),
            storm: None,
        }
    }

    /// What is wanted is asked anew for a batch that has come meanwhile.
    fn turn(&mut self, wanted: impl Fn() -> Behaviour) {
        let peer = self.peer.as_mut();
        let Some(peer) = peer.filter(|_| wanted() != Behaviour::Silent) else {
            return thread::sleep(TURN);
        };
        if let Behaviour::Storm(times) = wanted() {
            let left = self.storm.get_or_insert(times);
            if *left > 0 {
                *left -= 1;
                *peer = join(self.port);
                return;
            }
        }
        if self.beat.elapsed() > HEARTBEAT {
            self.beat = Instant::now();
            peer.say_with(FromContainer::encode_heartbeat);
        }
        let Some(message) = peer.hear_within(TURN) else {
            return;
        };
        let behaviour = wanted();
        match FromFrontend::decode(&message) {
            Ok(FromFrontend::MetadataWanted) => peer.say_with(|frames| own().encode(frames)),
            Ok(FromFrontend::Request(_)) if behaviour == Behaviour::Crash => self.peer = None,
            Ok(FromFrontend::Request(_)) => answer(peer, &message, behaviour),
            _ => {}
        }
    }
}

fn join(port: u16) -> Peer {
    let mut peer = Peer::connect(port);
    peer.register(&own());
    peer
}

fn own() -> NewContainer {
    registration("1", DataType::Floats, 1)
}

fn answer(peer: &mut Peer, request: &[Vec<u8>], behaviour: Behaviour) {
    let floats: Vec<f32> = inputs(request)
        .iter()
        .map(|input| 2.0 * f32::from_le_bytes(input[..].try_into().unwrap()))
        .collect();
    let all = |value: f32| vec![Ok(Output::Floats(vec![value])); floats.len()];
    let right: Predictions = floats
        .iter()
        .map(|value| Ok(Output::Floats(vec![*value])))
        .collect();
    let floats_type = DataType::Floats;
    match behaviour {
        Behaviour::Hang | Behaviour::Crash | Behaviour::Silent => {}
        Behaviour::Right | Behaviour::Storm(_) => peer.reply(request, floats_type, right),
        Behaviour::Slow(delay) => {
            thread::sleep(delay);
            peer.reply(request, floats_type, right);
        }
        Behaviour::Outputs(count) => {
            peer.reply(
                request,
                floats_type,
                vec![Ok(Output::Floats(vec![1.0])); count],
            );
        }
        Behaviour::NotANumber => peer.reply(request, floats_type, all(f32::NAN)),
        Behaviour::Texts => {
            let text = Ok(Output::Text("two".to_owned()));
            peer.reply(request, DataType::Strings, vec![text; floats.len()]);
        }
        Behaviour::Garbage => peer.say(&[vec![], vec![1, 0, 0, 0], vec![0xff; 7]]),
        Behaviour::Unasked => {
            let mut unasked = request.to_vec();
            // The message id follows the session.
            unasked[3][8] ^= 0x80;
            peer.reply(&unasked, floats_type, all(-1.0));
            peer.reply(request, floats_type, right);
        }
        Behaviour::Twice => {
            peer.reply(request, floats_type, right);
            peer.reply(request, floats_type, all(-1.0));
        }
    }
}
