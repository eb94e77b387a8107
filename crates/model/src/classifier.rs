//! Settings and errors that the model servers of classifiers have in common.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::Artifact;

/// How a classifier is run.
#[derive(Clone, Debug, Default)]
pub struct ClassifierSettings {
    /// Threads for one batch; 0 counts as 1.
    pub threads: usize,
    /// Inputs are doubles; floats otherwise.
    pub doubles: bool,
    /// Where the artifact comes from, to be repeated in [`ModelInfo`](crate::ModelInfo).
    pub artifact: Option<Artifact>,
}

/// Why a classifier cannot be loaded, trained or saved.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    /// There is no artifact.
    #[error(
        "there is no {format} at {}: make it with `cargo run --release -p xtask -- artifacts`, \
         or name another with CLIPPER_MODEL_PATH",
        path.display()
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// What was looked for, for instance "svm artifact".
        format: &'static str,
    },
    /// The artifact cannot be read or written.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// The file is not in the artifact's format, or damaged.
    #[error(
        "{} is no {format}: {problem}; make it anew with `cargo run --release -p xtask -- artifacts --force`, \
         or name another with CLIPPER_MODEL_PATH",
        path.display()
    )]
    Artifact {
        /// The file.
        path: PathBuf,
        /// What it is not, for instance "svm artifact".
        format: &'static str,
        /// The reason.
        problem: String,
    },
    /// The examples cannot be learnt from.
    #[error("training: {0}")]
    Training(String),
}

impl ClassifierError {
    /// The error of reading the file at `path`, which should be in `format`.
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
