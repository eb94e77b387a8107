//! Errors of the svm classifier.

use std::path::PathBuf;

use model::ClassifierError;
use rayon::ThreadPoolBuildError;

/// Reason why a classifier cannot be loaded, trained or saved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error common to all classifiers.
    #[error(transparent)]
    Classifier(#[from] ClassifierError),
    /// The artifact has values out of float32's range.
    #[error("{}: {} has values that float32 cannot hold: serve it with CLIPPER_INPUT_TYPE=doubles", .0.display(), .1)]
    Float32(PathBuf, String),
    /// The threads that compute a batch cannot be started.
    #[error("cannot start {0} threads: {1}; use a smaller --threads")]
    Threads(usize, ThreadPoolBuildError),
}

impl Error {
    /// Makes the error of training with this reason.
    #[cfg(feature = "train")]
    pub(crate) fn training(reason: String) -> Error {
        ClassifierError::Training(reason).into()
    }
}
