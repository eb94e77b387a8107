//! What fails in a deployment.

use std::{
    fmt::Display,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use host::FileError;

/// Why something cannot be deployed, or does not work any more. The text says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program, library, artifact or image is not there, or cannot be built.
    #[error("{0}")]
    Missing(String),
    /// A process or container does not start, ended, or is not on the cores that were asked for.
    #[error("{0}")]
    Member(String),
    /// The frontend does not answer, or not as one of this version does.
    #[error("{0}")]
    Frontend(String),
    /// A replica does not register, or its model does not fit.
    #[error("{0}")]
    Replica(String),
    /// The Docker engine does not answer, or refuses.
    #[error("{0}")]
    Docker(String),
    /// Something cannot be done with a file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The user has asked to stop.
    #[error("stopped")]
    Interrupted,
}

impl Error {
    /// A failure to do something (`doing` completes "cannot ...") with a file or folder.
    pub(crate) fn file(doing: &str, path: &Path, why: impl Display) -> Error {
        FileError::new(doing, path, why).into()
    }
}

/// An error once `stop` is set.
pub(crate) fn check_stop(stop: &AtomicBool) -> Result<(), Error> {
    match stop.load(Relaxed) {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
}
