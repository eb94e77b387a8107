//! Why a model server does not start, or stops.

use std::{io, path::PathBuf};

use transport::curve::KeyError;
use wire::rpc::Version;

/// Why a model server does not start, or stops. The cause is the error's source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag, or its environment variable, has a value that cannot be used.
    #[error("{0}")]
    Flag(String),
    /// The command line cannot be parsed.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// The file that a flag names holds no such key.
    #[error("{flag}")]
    Key {
        /// The flag.
        flag: &'static str,
        /// The reason.
        source: KeyError,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The metadata file beside the artifact cannot be parsed.
    #[error("{} is not an artifact's metadata", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: serde_json::Error,
    },
    /// A system call fails.
    #[error("{what}")]
    System {
        /// The step that failed.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// An operation on a socket fails.
    #[error("{what}")]
    Socket {
        /// The step that failed.
        what: String,
        /// Why not.
        source: zmq::Error,
    },
    /// Any other failure of ZeroMQ.
    #[error(transparent)]
    Zmq(#[from] zmq::Error),
    /// The frontend refuses this model server.
    #[error("the frontend at {frontend} refuses: {reason}")]
    Refused {
        /// Its address.
        frontend: String,
        /// Why.
        reason: String,
    },
    /// The model failed, and this version of the protocol cannot report it: the frontend has to see the server
    /// disconnect.
    #[error("a batch failed, and {version} cannot say so: {reason}")]
    Model {
        /// The version in use.
        version: Version,
        /// The model's error.
        reason: String,
    },
    /// The process that the health check asks about is not registered at a frontend.
    #[error("process {0} is not registered at a frontend")]
    NotRegistered(u32),
    /// The thread of the session panicked.
    #[error("the thread that keeps the socket panicked")]
    Panicked,
}

impl Error {
    /// Makes the error of a system call; `what` says what failed.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        |source| Error::System { what, source }
    }

    /// Makes the error of a socket; `what` says what failed.
    pub(crate) fn socket(what: impl Into<String>) -> impl FnOnce(zmq::Error) -> Error {
        let what = what.into();
        |source| Error::Socket { what, source }
    }
}
