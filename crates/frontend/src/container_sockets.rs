//! The ports for model servers: the dialect of each, and their sockets.

use std::os::fd::RawFd;

use transport::{Frame, recv, send};
use wire::rpc::Version;

/// A port for model servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ContainerPort {
    /// Versions 3 and 4, which state their version.
    Rpc,
    /// The dialect of 2017, which registers like version 3 but expects another reply.
    Rpc2017,
    /// The high-performance dialect: receives registrations and sends requests.
    RpcSend,
    /// The high-performance dialect: receives responses.
    RpcRecv,
}

impl ContainerPort {
    /// All ports, in the order of their discriminants.
    pub(crate) const ALL: [ContainerPort; 4] = [
        ContainerPort::Rpc,
        ContainerPort::Rpc2017,
        ContainerPort::RpcSend,
        ContainerPort::RpcRecv,
    ];

    /// Returns the port on which model servers of a version register and get their batches.
    pub(crate) fn of(version: Version) -> ContainerPort {
        match version {
            Version::V2017 => ContainerPort::Rpc2017,
            Version::HighPerf => ContainerPort::RpcSend,
            Version::V3 | Version::V4 => ContainerPort::Rpc,
        }
    }

    /// Returns the version by which messages of unregistered model servers are decoded.
    pub(crate) fn version(self) -> Version {
        match self {
            ContainerPort::Rpc => Version::V4,
            ContainerPort::Rpc2017 => Version::V2017,
            ContainerPort::RpcSend | ContainerPort::RpcRecv => Version::HighPerf,
        }
    }
}

/// The sockets of the ports for model servers.
pub(crate) struct ContainerSockets([RouterSocket; 4]);

impl ContainerSockets {
    /// Takes the sockets in the order of [`ContainerPort::ALL`].
    pub(crate) fn new(sockets: [RouterSocket; 4]) -> ContainerSockets {
        ContainerSockets(sockets)
    }

    /// Receives a message from a port; returns false if there is none.
    pub(crate) fn recv(
        &mut self,
        port: ContainerPort,
        message: &mut Vec<Frame>,
    ) -> zmq::Result<bool> {
        self.0[port as usize].recv(message)
    }

    /// Sends a message to a model server of this version, as [`send`] does.
    pub(crate) fn send(&mut self, version: Version, message: &mut Vec<Frame>) -> zmq::Result<()> {
        self.0[ContainerPort::of(version) as usize].send(message)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut RouterSocket> {
        self.0.iter_mut()
    }
}

/// A ROUTER socket that is read only after its file descriptor became readable, because checking an
/// idle one costs system calls.
pub(crate) struct RouterSocket {
    socket: zmq::Socket,
    fd: RawFd,
    /// True if the socket may hold messages, whatever its file descriptor says.
    awake: bool,
}

impl RouterSocket {
    /// Wraps a socket. It starts awake, so that it is read at least once.
    pub(crate) fn new(socket: zmq::Socket) -> zmq::Result<RouterSocket> {
        Ok(RouterSocket {
            fd: socket.get_fd()?,
            socket,
            awake: true,
        })
    }

    /// Receives a message; returns false if there is none.
    pub(crate) fn recv(&mut self, message: &mut Vec<Frame>) -> zmq::Result<bool> {
        if self.awake {
            // Without a message, the socket has just found its mailbox empty: the next one makes
            // its descriptor readable.
            self.awake = recv(&mut self.socket, message)?;
        }
        Ok(self.awake)
    }

    /// Sends a message as [`send`] does.
    pub(crate) fn send(&mut self, message: &mut Vec<Frame>) -> zmq::Result<()> {
        // Sending may empty the mailbox, so that the descriptor does not show messages that
        // arrived.
        self.awake = true;
        send(&mut self.socket, message)
    }

    /// Returns true if the socket may hold messages, whatever its file descriptor says.
    pub(crate) fn is_awake(&self) -> bool {
        self.awake
    }

    /// Returns the item to poll for reading.
    pub(crate) fn poll_item(&self) -> zmq::PollItem<'static> {
        zmq::PollItem::from_fd(self.fd, zmq::POLLIN)
    }

    /// Marks the socket as readable.
    pub(crate) fn wake(&mut self) {
        self.awake = true;
    }
}
