//! Errors of this crate.

use std::{fmt::Display, path::Path};

use host::FileError;
use model::NotAClass;

/// Failure to read, write or judge results. The text states cause and remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on a file or folder failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder has no readable result.
    #[error("{0}")]
    NoResults(String),
    /// An answer of an accuracy run cannot be compared with a label.
    #[error("cannot judge the answer to input {input}: {why}")]
    Unjudged {
        /// Number of the input.
        input: usize,
        /// Reason.
        why: NotAClass,
    },
}

impl Error {
    /// Returns the error of an operation on a file or folder; `doing` completes "cannot ...".
    pub(crate) fn file(doing: &str, path: &Path, why: impl Display) -> Error {
        FileError::new(doing, path, why).into()
    }
}
