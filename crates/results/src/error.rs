//! What fails with results.

use std::{fmt::Display, path::Path};

use host::FileError;
use model::NotAClass;

/// Why results cannot be read, written or judged. The text says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something cannot be done with a file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// A folder holds no result.
    #[error("{0}")]
    NoResults(String),
    /// An answer of an accuracy run cannot be compared with a label.
    #[error("the answer to input {input} cannot be judged: {why}")]
    Unjudged {
        /// The number of the input.
        input: usize,
        /// Why not.
        why: NotAClass,
    },
}

impl Error {
    /// A failure to do something (`doing` completes "cannot ...") with a file or folder.
    pub(crate) fn file(doing: &str, path: &Path, why: impl Display) -> Error {
        FileError::new(doing, path, why).into()
    }
}
