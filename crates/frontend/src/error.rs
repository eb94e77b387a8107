//! Why a frontend does not start, or stopped by itself.

use std::{fmt, io, net::Ipv4Addr, path::PathBuf};

use crate::{access::AccessError, state::StateError};

/// Why a frontend does not start, or stopped by itself: one line with what failed, on what, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--bind` names no address that the frontend can listen on.
    #[error("{0} is no IPv4 address: name one of this machine with --bind")]
    Address(String),
    /// A port cannot be bound.
    #[error(
        "cannot listen on {address}:{port}: choose another port with {flag} (0 takes any that is free), or another \
         address with --bind: {why}"
    )]
    Listen {
        /// The address.
        address: Ipv4Addr,
        /// The port.
        port: u16,
        /// The flag that chooses the port.
        flag: &'static str,
        /// What the system says.
        why: String,
    },
    /// Tokens, certificates or keys are not what they should be.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// The file of traces cannot be written.
    #[error("cannot write traces to {}: choose another file with --trace_file: {error}", file.display())]
    Traces {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The system gives no more threads or file descriptors.
    #[error("cannot get a thread or a file descriptor: {0}")]
    System(io::Error),
    /// A ZeroMQ socket failed.
    #[error("a ZeroMQ socket failed: {0}")]
    Zmq(zmq::Error),
    /// The poll for messages failed.
    #[error("cannot wait for messages: {0}")]
    Wait(zmq::Error),
    /// The engine's thread panicked: a bug, and the panic's message has been printed.
    #[error("the engine's thread panicked")]
    Panicked,
}

impl Error {
    /// A port that cannot be bound, and the flag that chooses it.
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

// These two are no sources: their text is in the message already, and a chain of causes would print it twice.

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
    fn a_cause_is_printed_once() {
        let error = anyhow::Error::from(Error::from(io::Error::other("too many")));
        let text = "cannot get a thread or a file descriptor: too many";
        assert_eq!(format!("{error:#}"), text);
        let error = anyhow::Error::from(Error::from(zmq::Error::EMFILE));
        assert_eq!(
            format!("{error:#}"),
            format!("a ZeroMQ socket failed: {}", zmq::Error::EMFILE)
        );
    }
}
