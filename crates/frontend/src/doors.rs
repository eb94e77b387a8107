//! The ports of model servers: which dialect is spoken where, and the sockets behind them.
//!
//! A look at an idle ZeroMQ socket costs a system call. So a port where no model server is registered is asleep: its
//! socket is left alone until its file descriptor says that something came. Most frontends have model servers at one port.

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

/// The sockets behind the ports, ROUTERs all.
pub(crate) struct Doors([Door; 4]);

struct Door {
    socket: zmq::Socket,
    fd: RawFd,
    awake: bool,
}

impl Doors {
    /// The sockets, in the order of [`Port::ALL`].
    pub(crate) fn new(sockets: [zmq::Socket; 4]) -> zmq::Result<Doors> {
        let mut fds = [0; 4];
        for (fd, socket) in fds.iter_mut().zip(&sockets) {
            *fd = socket.get_fd()?;
        }
        let mut fds = fds.into_iter();
        Ok(Doors(sockets.map(|socket| Door {
            socket,
            fd: fds.next().unwrap_or_default(),
            awake: true,
        })))
    }

    /// Takes a message, if there is one; the port is asleep after that if there is none and nobody is `registered` there.
    pub(crate) fn recv(
        &mut self,
        port: Port,
        message: &mut Vec<Frame>,
        registered: bool,
    ) -> zmq::Result<bool> {
        let door = &mut self.0[port as usize];
        if !door.awake {
            return Ok(false);
        }
        let came = recv(&mut door.socket, message)?;
        // The socket has just found its mailbox empty, so whatever comes now shows in its descriptor.
        door.awake = came || registered;
        Ok(came)
    }

    /// Sends to a model server of this version, as [`send`] does.
    pub(crate) fn send(&mut self, version: Version, message: &mut Vec<Frame>) -> zmq::Result<()> {
        let door = &mut self.0[Port::of(version) as usize];
        // Sending may empty the mailbox, so that its descriptor says nothing of what came.
        door.awake = true;
        send(&mut door.socket, message)
    }

    /// What to poll for a port.
    pub(crate) fn poll_item(&self, port: Port) -> zmq::PollItem<'_> {
        let door = &self.0[port as usize];
        if door.awake {
            door.socket.as_poll_item(zmq::POLLIN)
        } else {
            zmq::PollItem::from_fd(door.fd, zmq::POLLIN)
        }
    }

    /// What was polled for a port is readable.
    pub(crate) fn wake(&mut self, port: Port) {
        self.0[port as usize].awake = true;
    }
}
