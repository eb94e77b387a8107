//! TCP connections by their file descriptors.

use std::{net::SocketAddrV4, os::fd::RawFd};

use nix::sys::socket::{SockaddrIn, getpeername};

/// A TCP connection that another thread owns. The descriptor alone does not identify it: after the
/// connection is closed, the next one usually gets the same descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TcpConnection {
    pub(crate) fd: RawFd,
    /// Address of the other end.
    pub(crate) peer: SocketAddrV4,
}

impl TcpConnection {
    /// Returns the connection that has this descriptor; `None` if there is none.
    pub(crate) fn of(fd: RawFd) -> Option<TcpConnection> {
        let peer = getpeername::<SockaddrIn>(fd).ok()?.into();
        Some(TcpConnection { fd, peer })
    }

    /// Returns true if this connection still has its descriptor.
    pub(crate) fn is_open(&self) -> bool {
        TcpConnection::of(self.fd) == Some(*self)
    }
}
