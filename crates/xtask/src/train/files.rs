//! The files that training writes.

use std::path::PathBuf;

/// Paths of the files of one trained classifier.
pub(crate) struct Files {
    /// The artifact that the model server loads.
    pub(crate) artifact: PathBuf,
    /// Metadata: a [`model::Artifact`] as JSON.
    pub(crate) metadata: PathBuf,
    /// The held-out features: float32 `[pictures, features]`.
    pub(crate) inputs: PathBuf,
    /// Labels of the held-out pictures, one per line.
    pub(crate) labels: PathBuf,
}

impl Files {
    /// True if all files exist.
    pub(crate) fn exist(&self) -> bool {
        let files = [&self.artifact, &self.metadata, &self.inputs, &self.labels];
        files.into_iter().all(|file| file.exists())
    }
}
