//! Why a classifier cannot be loaded, trained or saved.

use std::path::PathBuf;

use model::ClassifierError;
use rayon::ThreadPoolBuildError;

/// Why a classifier cannot be loaded, trained or saved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error that every classifier has.
    #[error(transparent)]
    Classifier(#[from] ClassifierError),
    /// The artifact's numbers do not fit into float32.
    #[error("{}: {} has values that float32 cannot hold: serve it with CLIPPER_INPUT_TYPE=doubles", .0.display(), .1)]
    Float32(PathBuf, String),
    /// The threads for a batch could not be started.
    #[error("{0} threads for a batch cannot be started: {1}; ask for fewer")]
    Threads(usize, ThreadPoolBuildError),
}

impl Error {
    /// The error of training, for this reason.
    #[cfg(feature = "train")]
    pub(crate) fn training(reason: String) -> Error {
        ClassifierError::Training(reason).into()
    }
}
