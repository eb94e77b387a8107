//! Determines which replicas are checked after a connection was closed.
//!
//! libzmq's monitors report a closed connection by its file descriptor, and a message has the
//! descriptor of the connection on which it came. The descriptor is only a hint: the next connection
//! usually gets the same one, and reports and messages come by different ways. A report therefore
//! removes no replica, but causes checks of every replica that may have had the connection.

use std::os::fd::RawFd;

use transport::Frame;

use crate::tcp::TcpConnection;

/// Number of checks after a report. One is not enough, because libzmq reports a closed connection up
/// to 5 ms before sends to it fail. The last one, 0.7 s after the report, leaves time to connect
/// again: libzmq does so after 0.1 to 0.2 s.
const CHECKS: u32 = 8;

/// The connection of a replica, and the checks that it needs.
#[derive(Debug)]
pub(super) struct ConnectionCheck {
    /// `None` if it is not known, or was closed when the replica's message was read.
    connection: Option<TcpConnection>,
    /// Number of checks that are left; `None` unless a report may have meant this connection.
    checks_left: Option<u32>,
    /// True if the model server chose its routing identity, and thus keeps it when it connects
    /// again. libzmq assigns identities that begin with 0, a new one to each connection.
    keeps_identity: bool,
}

impl ConnectionCheck {
    /// Notes the connection on which a registration came.
    pub(super) fn new(identity: &Frame) -> ConnectionCheck {
        let mut check = ConnectionCheck {
            connection: None,
            checks_left: None,
            keeps_identity: identity.as_ref().first() != Some(&0),
        };
        check.on_message(identity);
        check
    }

    /// Notes the connection of a message, unless it is known.
    pub(super) fn on_message(&mut self, identity: &Frame) {
        if self.connection.is_some() && self.checks_left.is_none() {
            return;
        }
        let Some(fd) = identity.source_fd() else {
            return;
        };
        self.connection = TcpConnection::of(fd);
        if self.connection.is_none() {
            // Its report may have come before the message.
            self.checks_left = Some(CHECKS);
        }
    }

    /// Handles the report of a closed connection. Returns true if it may be the replica's.
    pub(super) fn on_closed(&mut self, fd: RawFd) -> bool {
        let affected = self.connection.is_some_and(|known| known.fd == fd);
        if affected {
            self.checks_left = Some(CHECKS);
        }
        affected
    }

    /// Returns true if the replica is to be checked now. Call it at each time of a check. A replica
    /// that keeps its identity is checked at the last time only, because it may connect again before.
    ///
    /// After the last check a closed connection is forgotten: the replica has another one, which its
    /// next message names.
    pub(super) fn is_due(&mut self) -> bool {
        match self.checks_left {
            None => false,
            Some(0) => {
                self.connection = self.connection.filter(TcpConnection::is_open);
                self.checks_left = None;
                false
            }
            Some(left) => {
                self.checks_left = Some(left - 1);
                left == 1 || !self.keeps_identity
            }
        }
    }

    /// Returns true if the connection is closed and the replica cannot have another one.
    pub(super) fn is_lost(&self) -> bool {
        !self.keeps_identity && !self.connection.is_some_and(|known| known.is_open())
    }
}
