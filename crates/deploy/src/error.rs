//! The error type of deployments.

use std::{
    fmt::Display,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use host::FileError;

/// A deployment that failed to start or stopped working. The text says what failed and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program, library or artifact is missing, or a build failed.
    #[error("{0}")]
    Missing(String),
    /// A process or container did not start, exited, or is not on its requested cores.
    #[error("{0}")]
    Process(String),
    /// The frontend does not answer, or answers as another version would.
    #[error("{0}")]
    Frontend(String),
    /// A replica did not register, or its model does not support the batch size.
    #[error("{0}")]
    Replica(String),
    /// The Docker engine does not answer, refuses a request, or lacks an image.
    #[error("{0}")]
    Docker(String),
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The user interrupted the run.
    #[error("stopped")]
    Interrupted,
}

impl Error {
    /// Returns the error of a failed file operation; `doing` completes "cannot ...".
    pub(crate) fn file(doing: &str, path: &Path, why: impl Display) -> Error {
        FileError::new(doing, path, why).into()
    }
}

/// Fails with [`Error::Interrupted`] once `stop` is set.
pub(crate) fn check_stop(stop: &AtomicBool) -> Result<(), Error> {
    match stop.load(Relaxed) {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
}
