//! A DEALER socket that sends and receives exact frames.

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

use crate::{HasPorts, TIMEOUT};

/// The socket of a client or a model server, connected to a frontend.
pub struct Peer {
    socket: zmq::Socket,
}

impl Peer {
    /// Connects to a port on loopback. Dropping the peer disconnects it before it returns.
    pub fn connect(port: u16) -> Peer {
        Peer::connect_in(&zmq::Context::new(), port)
    }

    /// Connects with a shared context, so that many peers share its threads. Such a peer is
    /// disconnected shortly after its drop.
    pub fn connect_in(context: &zmq::Context, port: u16) -> Peer {
        Peer::connect_with(context, port, |_| Ok(()))
    }

    /// Connects over CURVE as the owner of `keys`, to the owner of `server`.
    pub fn connect_as(keys: &KeyPair, server: PublicKey, port: u16) -> Peer {
        let context = zmq::Context::new();
        Peer::connect_with(&context, port, |socket| keys.connect(socket, server))
    }

    /// Connects with a routing identity of its own, which it keeps in [`Peer::reconnect`].
    pub fn connect_named(port: u16, identity: &str) -> Peer {
        Peer::connect_with(&zmq::Context::new(), port, |socket| {
            socket.set_reconnect_ivl(10)?;
            socket.set_identity(identity.as_bytes())
        })
    }

    /// Closes the connection to this port, and opens another one.
    pub fn reconnect(&mut self, port: u16) {
        let endpoint = format!("tcp://127.0.0.1:{port}");
        self.socket.disconnect(&endpoint).unwrap();
        self.socket.connect(&endpoint).unwrap();
    }

    fn connect_with(
        context: &zmq::Context,
        port: u16,
        configure: impl FnOnce(&zmq::Socket) -> zmq::Result<()>,
    ) -> Peer {
        let socket = context.socket(zmq::DEALER).unwrap();
        socket.set_linger(0).unwrap();
        // A test may send any number of messages at once.
        socket.set_sndhwm(0).unwrap();
        configure(&socket).unwrap();
        socket.connect(&format!("tcp://127.0.0.1:{port}")).unwrap();
        Peer { socket }
    }

    /// Sends `frames` as one message; panics if the socket stays full.
    pub fn send(&mut self, frames: &[Vec<u8>]) {
        let mut message = frames.iter().map(|frame| Frame::from(&frame[..])).collect();
        let timeout = i64::try_from(TIMEOUT.as_millis()).unwrap();
        let ready = self.socket.poll(zmq::POLLOUT, timeout).unwrap();
        assert_eq!(ready, 1, "no room to send within {TIMEOUT:?}");
        send(&mut self.socket, &mut message).unwrap();
    }

    /// Sends the frames that `encode` appends, or drops them if the frontend refused the
    /// connection.
    pub fn try_send(&mut self, encode: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let mut frames = Vec::new();
        encode(&mut frames);
        let mut message = frames.iter().map(|frame| Frame::from(&frame[..])).collect();
        match send(&mut self.socket, &mut message) {
            Ok(()) | Err(zmq::Error::EAGAIN) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends the frames that `encode` appends as one message.
    pub fn send_with(&mut self, encode: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let mut frames = Vec::new();
        encode(&mut frames);
        self.send(&frames);
    }

    /// Receives the next message.
    pub fn recv(&mut self) -> Vec<Vec<u8>> {
        self.recv_unless(|_| false)
    }

    /// Receives the next message, or returns `None` after `limit`.
    pub fn recv_within(&mut self, limit: Duration) -> Option<Vec<Vec<u8>>> {
        let mut message = Vec::new();
        let timeout = i64::try_from(limit.as_millis()).unwrap();
        self.socket.poll(zmq::POLLIN, timeout).unwrap();
        recv(&mut self.socket, &mut message)
            .unwrap()
            .then(|| message.iter().map(|f| f.as_ref().to_vec()).collect())
    }

    /// Receives the next message for which `skip` is false.
    pub fn recv_unless(&mut self, skip: impl Fn(&[Vec<u8>]) -> bool) -> Vec<Vec<u8>> {
        let start = Instant::now();
        loop {
            let left = TIMEOUT.saturating_sub(start.elapsed());
            assert!(!left.is_zero(), "no message within {TIMEOUT:?}");
            if let Some(frames) = self.recv_within(left).filter(|frames| !skip(frames)) {
                return frames;
            }
        }
    }

    /// As a client: connects in the native dialect.
    pub fn connect_native(&mut self) -> Connected {
        self.send_with(encode_connect);
        Connected::decode(&self.recv()).unwrap()
    }

    /// As a client: sends a query of floats to the application named "app".
    pub fn send_query(&mut self, connected: Connected, request_id: u32, input: &[f32]) {
        self.send_query_to("app", connected, request_id, input);
    }

    /// As a client: sends a query of floats to application `app`.
    pub fn send_query_to(
        &mut self,
        app: &str,
        connected: Connected,
        request_id: u32,
        input: &[f32],
    ) {
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
        self.send_with(|frames| request.encode(frames));
    }

    /// As a model server: registers. Version 4 waits for the acknowledgement and returns its
    /// session.
    pub fn register(&mut self, new: &NewContainer) -> Option<u64> {
        self.send_with(FromContainer::encode_heartbeat);
        let request = self.recv();
        assert_eq!(
            FromFrontend::decode(&request),
            Ok(FromFrontend::MetadataWanted)
        );
        self.send_with(|frames| new.encode(frames));
        if new.rpc_version() == Version::V3 {
            return None;
        }
        let reply = self.recv();
        match FromFrontend::decode(&reply) {
            Ok(FromFrontend::Registered(registered)) => Some(registered.session),
            other => panic!("{other:?} instead of an acknowledgement"),
        }
    }

    /// As a model server: receives the next request, skipping heartbeats.
    pub fn recv_request(&mut self) -> Vec<Vec<u8>> {
        self.recv_unless(|frames| FromFrontend::decode(frames) == Ok(FromFrontend::KeepAlive))
    }

    /// As a version-4 model server: joins as a replica of model `m`.
    pub fn join(port: u16, version: &str, input_type: DataType) -> Peer {
        let mut peer = Peer::connect(port);
        peer.register(&registration(version, input_type, 2));
        peer
    }

    /// As a version-4 model server: receives a request and answers every input with `output`.
    /// Returns the inputs.
    pub fn serve(&mut self, output: &Output) -> Vec<Vec<u8>> {
        let request = self.recv_request();
        let inputs = inputs(&request);
        let predictions = inputs.iter().map(|_| Ok(output.clone())).collect();
        self.reply(&request, output.data_type(), predictions);
        inputs
    }

    /// As a version-4 model server: answers a request.
    pub fn reply(&mut self, request: &[Vec<u8>], output_type: DataType, predictions: Predictions) {
        let Ok(FromFrontend::Request(request)) = FromFrontend::decode(request) else {
            panic!("the message is not a request");
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
        self.send_with(|frames| reply.encode(frames));
    }
}

/// Returns a request's inputs.
pub fn inputs(request: &[Vec<u8>]) -> Vec<Vec<u8>> {
    match FromFrontend::decode(request) {
        Ok(FromFrontend::Request(request)) => request.inputs.to_vec(),
        other => panic!("{other:?} is not a request"),
    }
}

/// Returns the registration of a version-4 model server of model `m`.
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

/// Joins a version-4 replica of model `m`; returns it with the frontend's session.
pub fn replica(frontend: &impl HasPorts) -> (Peer, u64) {
    let mut peer = Peer::connect(frontend.ports().rpc_service_port);
    let session = peer.register(&registration("1", DataType::Floats, 2));
    (peer, session.unwrap())
}

/// As a model server: answers each input, a single float, with twice its value. Returns the number
/// of inputs.
pub fn reply_doubled(peer: &mut Peer, request: &[Vec<u8>]) -> usize {
    let predictions: Predictions = inputs(request)
        .iter()
        .map(|input| f32::from_le_bytes(input[..].try_into().unwrap()))
        .map(|value| Ok(Output::Floats(vec![2.0 * value])))
        .collect();
    let count = predictions.len();
    peer.reply(request, DataType::Floats, predictions);
    count
}
