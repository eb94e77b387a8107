//! The ports of model servers: which dialect is spoken where, and the sockets behind them.

use std::os::fd::RawFd;

use transport::{Frame, recv, send};
use wire::rpc::Version;

/// A port of model servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Port {
    /// Versions 3 and 4, which say what they are.
    Rpc,
    /// The dialect of 2017, which opens as version 3 does and wants another reply.
    Rpc2017,
    /// The high-performance dialect: registrations come in, requests go out.
    RpcSend,
    /// The high-performance dialect: responses come in.
    RpcRecv,
}

impl Port {
    /// Every port, in the order of their numbers here.
    pub(crate) const ALL: [Port; 4] = [Port::Rpc, Port::Rpc2017, Port::RpcSend, Port::RpcRecv];

    /// Where model servers of this version register and get their batches.
    pub(crate) fn of(version: Version) -> Port {
        match version {
            Version::V2017 => Port::Rpc2017,
            Version::HighPerf => Port::RpcSend,
            Version::V3 | Version::V4 => Port::Rpc,
        }
    }

    /// How to read a model server that has not registered yet.
    pub(crate) fn version(self) -> Version {
        match self {
            Port::Rpc => Version::V4,
            Port::Rpc2017 => Version::V2017,
            Port::RpcSend | Port::RpcRecv => Version::HighPerf,
        }
    }
}

/// The sockets behind the ports.
pub(crate) struct ContainerSockets([RouterSocket; 4]);

impl ContainerSockets {
    /// The sockets, in the order of [`Port::ALL`].
    pub(crate) fn new(sockets: [RouterSocket; 4]) -> ContainerSockets {
        ContainerSockets(sockets)
    }

    /// Takes a message, if there is one.
    pub(crate) fn recv(&mut self, port: Port, message: &mut Vec<Frame>) -> zmq::Result<bool> {
        self.0[port as usize].recv(message)
    }

    /// Sends to a model server of this version, as [`send`] does.
    pub(crate) fn send(&mut self, version: Version, message: &mut Vec<Frame>) -> zmq::Result<()> {
        self.0[Port::of(version) as usize].send(message)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut RouterSocket> {
        self.0.iter_mut()
    }
}

/// A ROUTER socket that is read only after its file descriptor became readable, because checking an idle one costs
/// system calls.
pub(crate) struct RouterSocket {
    socket: zmq::Socket,
    fd: RawFd,
    awake: bool,
}

impl RouterSocket {
    /// The socket, which is looked at once in any case.
    pub(crate) fn new(socket: zmq::Socket) -> zmq::Result<RouterSocket> {
        Ok(RouterSocket {
            fd: socket.get_fd()?,
            socket,
            awake: true,
        })
    }

    /// Takes a message, if there is one.
    pub(crate) fn recv(&mut self, message: &mut Vec<Frame>) -> zmq::Result<bool> {
        if self.awake {
            // Without a message the socket has just found its mailbox empty: whatever comes now shows in its descriptor.
            self.awake = recv(&mut self.socket, message)?;
        }
        Ok(self.awake)
    }

    /// Sends as [`send`] does.
    pub(crate) fn send(&mut self, message: &mut Vec<Frame>) -> zmq::Result<()> {
        // That may empty the mailbox, so that the descriptor says nothing of what came.
        self.awake = true;
        send(&mut self.socket, message)
    }

    /// Whether it has to be looked at whatever its descriptor says.
    pub(crate) fn is_awake(&self) -> bool {
        self.awake
    }

    /// What to poll.
    pub(crate) fn poll_item(&self) -> zmq::PollItem<'static> {
        zmq::PollItem::from_fd(self.fd, zmq::POLLIN)
    }

    /// What was polled is readable.
    pub(crate) fn wake(&mut self) {
        self.awake = true;
    }
}
