//! The files that training writes.

use std::path::PathBuf;

/// What training writes.
pub(crate) struct Files {
    /// What the model server loads.
    pub(crate) artifact: PathBuf,
    /// A [`model::Artifact`] as JSON.
    pub(crate) metadata: PathBuf,
    /// The held-out features: float32 `[pictures, features]`.
    pub(crate) inputs: PathBuf,
    /// Their labels, one per line.
    pub(crate) labels: PathBuf,
}

impl Files {
    /// True if none is missing.
    pub(crate) fn exist(&self) -> bool {
        let files = [&self.artifact, &self.metadata, &self.inputs, &self.labels];
        files.into_iter().all(|file| file.exists())
    }
}
