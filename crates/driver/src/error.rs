//! Errors of the driver, by exit status.

use std::{fmt::Display, path::Path};

use deploy::models::ModelError;
use host::FileError;
use loadgen::TraceError;

/// An error that ends the driver. The text says what failed, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line or the machine does not allow the sweep; nothing was started.
    #[error("{0}")]
    Usage(String),
    /// The machine, a frontend or a model server failed.
    #[error("{0}")]
    Failed(String),
    /// Ctrl-C or SIGTERM; all processes were stopped.
    #[error("interrupted. Results so far are saved; continue with `driver --resume DIR`")]
    Interrupted,
}

impl Error {
    /// Returns the exit status for this kind of error.
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Failed(_) => 1,
            Error::Interrupted => 130,
        }
    }

    /// Returns a failure on a file or folder; `doing` completes "cannot ...".
    pub(crate) fn file(doing: &str, path: &Path, error: impl Display) -> Error {
        Error::Failed(FileError::new(doing, path, error).to_string())
    }
}

impl From<host::Error> for Error {
    fn from(error: host::Error) -> Error {
        match &error {
            host::Error::Affinity(_) => Error::Failed(error.to_string()),
            host::Error::CoreNotAllowed { .. } | host::Error::TooFewCores { .. } => {
                Error::Usage(error.to_string())
            }
        }
    }
}

impl From<loadgen::Error> for Error {
    fn from(error: loadgen::Error) -> Error {
        match error {
            loadgen::Error::Trace(why) => why.into(),
            other => Error::Failed(other.to_string()),
        }
    }
}

impl From<TraceError> for Error {
    fn from(error: TraceError) -> Error {
        Error::Usage(error.to_string())
    }
}

impl From<results::Error> for Error {
    fn from(error: results::Error) -> Error {
        Error::Failed(error.to_string())
    }
}

impl From<deploy::Error> for Error {
    fn from(error: deploy::Error) -> Error {
        match error {
            deploy::Error::Interrupted => Error::Interrupted,
            other => Error::Failed(other.to_string()),
        }
    }
}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Error {
        Error::Usage(error.to_string())
    }
}

impl From<report::Error> for Error {
    fn from(error: report::Error) -> Error {
        match error {
            report::Error::Usage(what) => Error::Usage(what),
            other => Error::Failed(other.to_string()),
        }
    }
}
