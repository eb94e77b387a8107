//! A DEALER that says and hears frames.

use std::time::{Duration, Instant};

use model::{DataType, Output, Predictions};
use transport::{
    Frame,
    curve::{KeyPair, PublicKey},
    recv, send,
};
use wire::{
    query::{Connected, Input, QueryRequest, encode_connect},
    rpc::{FromContainer, FromFrontend, Metadata, NewContainer, Reply, Times, Version},
};

use crate::{PATIENCE, Serves};

/// One end of a conversation with a frontend: a client's socket or a model server's.
pub struct Peer {
    socket: zmq::Socket,
}

impl Peer {
    /// Connects to a port on loopback. It is disconnected when this has been dropped.
    pub fn connect(port: u16) -> Peer {
        Peer::connect_in(&zmq::Context::new(), port)
    }

    /// The same where there are many, which share their threads; they are disconnected a little after they are dropped.
    pub fn connect_in(context: &zmq::Context, port: u16) -> Peer {
        Peer::connect_with(context, port, |_| Ok(()))
    }

    /// Connects as the owner of these keys, to the owner of the other.
    pub fn connect_as(keys: &KeyPair, server: PublicKey, port: u16) -> Peer {
        let context = zmq::Context::new();
        Peer::connect_with(&context, port, |socket| keys.connect(socket, server))
    }

    fn connect_with(
        context: &zmq::Context,
        port: u16,
        set: impl FnOnce(&zmq::Socket) -> zmq::Result<()>,
    ) -> Peer {
        let socket = context.socket(zmq::DEALER).unwrap();
        socket.set_linger(0).unwrap();
        // A test says as much as it wants, as fast as it can.
        socket.set_sndhwm(0).unwrap();
        set(&socket).unwrap();
        socket.connect(&format!("tcp://127.0.0.1:{port}")).unwrap();
        Peer { socket }
    }

    /// Says these frames in one message.
    pub fn say(&mut self, frames: &[Vec<u8>]) {
        let mut message = frames.iter().map(|frame| Frame::from(&frame[..])).collect();
        let patience = i64::try_from(PATIENCE.as_millis()).unwrap();
        let room = self.socket.poll(zmq::POLLOUT, patience).unwrap();
        assert_eq!(room, 1, "nobody reads");
        send(&mut self.socket, &mut message).unwrap();
    }

    /// The same for who may have been turned away already, so that nobody would hear it.
    pub fn try_say(&mut self, encode: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let mut frames = Vec::new();
        encode(&mut frames);
        let mut message = frames.iter().map(|frame| Frame::from(&frame[..])).collect();
        match send(&mut self.socket, &mut message) {
            Ok(()) | Err(zmq::Error::EAGAIN) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Says what `encode` appends.
    pub fn say_with(&mut self, encode: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let mut frames = Vec::new();
        encode(&mut frames);
        self.say(&frames);
    }

    /// The next message that comes.
    pub fn hear(&mut self) -> Vec<Vec<u8>> {
        self.hear_unless(|_| false)
    }

    /// The next message, if one comes so soon.
    pub fn hear_within(&mut self, limit: Duration) -> Option<Vec<Vec<u8>>> {
        let mut message = Vec::new();
        let timeout = i64::try_from(limit.as_millis()).unwrap();
        self.socket.poll(zmq::POLLIN, timeout).unwrap();
        recv(&mut self.socket, &mut message)
            .unwrap()
            .then(|| message.iter().map(|f| f.as_ref().to_vec()).collect())
    }

    /// The next message that comes and is not skipped.
    pub fn hear_unless(&mut self, skip: impl Fn(&[Vec<u8>]) -> bool) -> Vec<Vec<u8>> {
        let began = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            assert!(!left.is_zero(), "nothing came within {PATIENCE:?}");
            if let Some(frames) = self.hear_within(left).filter(|frames| !skip(frames)) {
                return frames;
            }
        }
    }

    /// As a client: asks for the native dialect.
    pub fn connect_native(&mut self) -> Connected {
        self.say_with(encode_connect);
        Connected::decode(&self.hear()).unwrap()
    }

    /// As a client: sends a query of floats to application `app`.
    pub fn ask(&mut self, connected: Connected, request_id: u32, input: &[f32]) {
        self.ask_app("app", connected, request_id, input);
    }

    /// As a client: sends a query of floats to any application.
    pub fn ask_app(&mut self, app: &str, connected: Connected, request_id: u32, input: &[f32]) {
        let input: Vec<u8> = input.iter().flat_map(|value| value.to_le_bytes()).collect();
        let request = QueryRequest {
            session: Some(connected.session),
            client_id: connected.client_id,
            request_id,
            app,
            input_type: "floats".parse().unwrap(),
            deadline: None,
            input: Input::Frame(&input),
        };
        self.say_with(|frames| request.encode(frames));
    }

    /// As a model server: registers, and in version 4 waits for the acknowledgement, whose session it answers.
    pub fn register(&mut self, new: &NewContainer) -> Option<u64> {
        self.say_with(FromContainer::encode_heartbeat);
        let wanted = self.hear();
        assert_eq!(
            FromFrontend::decode(&wanted),
            Ok(FromFrontend::MetadataWanted)
        );
        self.say_with(|frames| new.encode(frames));
        if new.rpc_version() == Version::V3 {
            return None;
        }
        let reply = self.hear();
        match FromFrontend::decode(&reply) {
            Ok(FromFrontend::Registered(registered)) => Some(registered.session),
            other => panic!("no acknowledgement but {other:?}"),
        }
    }

    /// As a model server: the next request, heartbeats skipped.
    pub fn hear_request(&mut self) -> Vec<Vec<u8>> {
        self.hear_unless(|frames| FromFrontend::decode(frames) == Ok(FromFrontend::KeepAlive))
    }

    /// As a version-4 model server: joins as a replica of model `m`, any version.
    pub fn join(port: u16, version: &str, input_type: DataType) -> Peer {
        let mut peer = Peer::connect(port);
        peer.register(&registration(version, input_type, 2));
        peer
    }

    /// As a version-4 model server: hears a request, and answers every input with this. Tells the inputs.
    pub fn serve(&mut self, output: &Output) -> Vec<Vec<u8>> {
        let request = self.hear_request();
        let inputs = inputs(&request);
        let predictions = inputs.iter().map(|_| Ok(output.clone())).collect();
        self.reply(&request, output.data_type(), predictions);
        inputs
    }

    /// As a version-4 model server: answers a request.
    pub fn reply(&mut self, request: &[Vec<u8>], output_type: DataType, predictions: Predictions) {
        let Ok(FromFrontend::Request(request)) = FromFrontend::decode(request) else {
            panic!("no request");
        };
        let reply = Reply {
            session: request.head.session,
            message_id: request.head.message_id,
            output_type,
            predictions,
            times: Times {
                received: 5,
                begun: 7,
                ended: 17,
                sent: 20,
            },
        };
        self.say_with(|frames| reply.encode(frames));
    }
}

/// A request's inputs.
pub fn inputs(request: &[Vec<u8>]) -> Vec<Vec<u8>> {
    match FromFrontend::decode(request) {
        Ok(FromFrontend::Request(request)) => request.inputs.to_vec(),
        other => panic!("no request but {other:?}"),
    }
}

/// A version-4 model server's of model `m`, which wants so many batches in flight.
pub fn registration(version: &str, input_type: DataType, batches_in_flight: u32) -> NewContainer {
    NewContainer {
        name: "m".into(),
        version: version.into(),
        input_type,
        metadata: Some(Metadata {
            host: String::new(),
            batches_in_flight,
            ..Metadata::default()
        }),
    }
}

/// A version-4 replica of model `m`, and the frontend's session.
pub fn replica(frontend: &impl Serves) -> (Peer, u64) {
    let mut peer = Peer::connect(frontend.ports().rpc_service_port);
    let session = peer.register(&registration("1", DataType::Floats, 2));
    (peer, session.unwrap())
}

/// As a model server: answers a request, each input with the float that it is, doubled. Answers how many there were.
pub fn double(peer: &mut Peer, request: &[Vec<u8>]) -> usize {
    let predictions: Predictions = inputs(request)
        .iter()
        .map(|input| f32::from_le_bytes(input[..].try_into().unwrap()))
        .map(|value| Ok(Output::Floats(vec![2.0 * value])))
        .collect();
    let count = predictions.len();
    peer.reply(request, DataType::Floats, predictions);
    count
}
