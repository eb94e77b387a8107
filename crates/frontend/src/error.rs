//! The error type of a frontend that cannot start or fails while it runs.

use std::{fmt, io, net::Ipv4Addr, path::PathBuf};

use crate::{access::AccessError, state::StateError};

/// The error of a frontend that cannot start or fails while it runs.
///
/// Its text is one line: the failure, its object, the cause and a remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--bind` does not resolve to an IPv4 address.
    #[error(
        "cannot listen on {0}: it is not an IPv4 address; choose an address of this machine with --bind"
    )]
    Address(String),
    /// A port cannot be bound.
    #[error(
        "cannot listen on {address}:{port}: {why}; choose another port with {flag} (0: any free port) or another \
         address with --bind"
    )]
    Listen {
        /// The address.
        address: Ipv4Addr,
        /// The port.
        port: u16,
        /// The flag that chooses the port.
        flag: &'static str,
        /// The text of the system's error.
        why: String,
    },
    /// A token, certificate or key is invalid.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The trace file cannot be written.
    #[error("cannot write traces to {}: {error}; choose another file with --trace_file", file.display())]
    Traces {
        /// The file.
        file: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The system has no more threads or file descriptors.
    #[error("cannot create a thread or a file descriptor: {0}")]
    System(io::Error),
    /// A ZeroMQ socket failed.
    #[error("a ZeroMQ socket failed: {0}")]
    Zmq(zmq::Error),
    /// The poll for messages failed.
    #[error("cannot wait for messages: {0}")]
    Wait(zmq::Error),
    /// The engine thread panicked. This is a bug; the panic message has been printed.
    #[error("the engine thread panicked; please report this as a bug")]
    Panicked,
}

impl Error {
    /// Returns the error for a port that cannot be bound; `flag` chooses the port.
    pub(crate) fn listen(
        address: Ipv4Addr,
        port: u16,
        flag: &'static str,
        why: impl fmt::Display,
    ) -> Error {
        Error::Listen {
            address,
            port,
            flag,
            why: why.to_string(),
        }
    }
}

// The inner errors are not sources: the message contains their text, and a chain of causes would
// print it twice.

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::System(error)
    }
}

impl From<zmq::Error> for Error {
    fn from(error: zmq::Error) -> Error {
        Error::Zmq(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_a_cause_once() {
        let error = anyhow::Error::from(Error::from(io::Error::other("too many")));
        let text = "cannot create a thread or a file descriptor: too many";
        assert_eq!(format!("{error:#}"), text);
        let error = anyhow::Error::from(Error::from(zmq::Error::EMFILE));
        assert_eq!(
            format!("{error:#}"),
            format!("a ZeroMQ socket failed: {}", zmq::Error::EMFILE)
        );
    }
}
