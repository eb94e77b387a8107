//! Settings and errors shared by the classifier model servers.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::Artifact;

/// Settings of a classifier.
#[derive(Clone, Debug, Default)]
pub struct ClassifierSettings {
    /// Threads that compute one batch; 0 counts as 1.
    pub threads: usize,
    /// True if inputs are doubles, false if they are floats.
    pub doubles: bool,
    /// Metadata of the artifact, repeated in [`ModelInfo`](crate::ModelInfo).
    pub artifact: Option<Artifact>,
}

/// Reason why a classifier cannot be loaded, trained or saved.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    /// The artifact does not exist.
    #[error(
        "there is no {format} at {}: make it with `cargo run --release -p xtask -- artifacts`, \
         or name another with CLIPPER_MODEL_PATH",
        path.display()
    )]
    Missing {
        /// The expected path.
        path: PathBuf,
        /// Name of the format, for instance "svm artifact".
        format: &'static str,
    },
    /// The artifact cannot be read or written.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// The file is damaged or in another format.
    #[error(
        "{} is no {format}: {problem}; regenerate it with `cargo run --release -p xtask -- artifacts --force`, \
         or name another with CLIPPER_MODEL_PATH",
        path.display()
    )]
    Artifact {
        /// The file.
        path: PathBuf,
        /// Name of the expected format, for instance "svm artifact".
        format: &'static str,
        /// The reason.
        problem: String,
    },
    /// Training on these examples is impossible.
    #[error("training: {0}")]
    Training(String),
}

impl ClassifierError {
    /// Classifies an error of reading the file at `path`, whose expected format is `format`.
    pub fn of_reading(path: &Path, format: &'static str, error: io::Error) -> ClassifierError {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => ClassifierError::Missing { path, format },
            io::ErrorKind::InvalidData => ClassifierError::Artifact {
                path,
                format,
                problem: "it is not text".to_owned(),
            },
            _ => ClassifierError::Io(path, error),
        }
    }
}
