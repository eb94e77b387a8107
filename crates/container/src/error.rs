//! Errors of a model server.

use std::{io, path::PathBuf};

use transport::curve::KeyError;
use wire::rpc::Version;

/// Reason why a model server does not start, or stops. The cause is the error's source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag, or its environment variable, has a value that cannot be used.
    #[error("{0}")]
    Flag(String),
    /// The command line cannot be parsed.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// The file that a flag names holds no valid key.
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
        /// The cause.
        source: io::Error,
    },
    /// The metadata file beside the artifact cannot be parsed.
    #[error("{} is not an artifact's metadata file", path.display())]
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
        /// The cause.
        source: io::Error,
    },
    /// An operation on a socket fails.
    #[error("{what}")]
    Socket {
        /// The step that failed.
        what: String,
        /// The cause.
        source: zmq::Error,
    },
    /// Any other failure of ZeroMQ.
    #[error(transparent)]
    Zmq(#[from] zmq::Error),
    /// The frontend refuses to register this model server.
    #[error("the frontend at {frontend} refuses this model server: {reason}")]
    Refused {
        /// The frontend's address.
        frontend: String,
        /// The frontend's reason.
        reason: String,
    },
    /// The model failed, and this protocol version has no error message: the server disconnects.
    #[error("a batch failed, and {version} has no error message: {reason}")]
    Model {
        /// The version in use.
        version: Version,
        /// The model's error.
        reason: String,
    },
    /// The process named by `--healthcheck` is not registered at a frontend.
    #[error("process {0} is not registered at a frontend")]
    NotRegistered(u32),
    /// The session's thread panicked.
    #[error("the session thread panicked")]
    Panicked,
}

impl Error {
    /// Makes the error of a system call; `what` names the step that failed.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        |source| Error::System { what, source }
    }

    /// Makes the error of a socket operation; `what` names the step that failed.
    pub(crate) fn socket(what: impl Into<String>) -> impl FnOnce(zmq::Error) -> Error {
        let what = what.into();
        |source| Error::Socket { what, source }
    }
}
