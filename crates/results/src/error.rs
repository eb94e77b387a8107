//! What fails with results.

use std::{fmt::Display, path::Path, path::PathBuf};

use model::NotAClass;

/// Why results cannot be read, written or judged. The text says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something cannot be done with a file or folder.
    #[error("cannot {doing} {path}: {why}", path = path.display())]
    File {
        /// What was to be done: completes "cannot ...".
        doing: String,
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
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
    pub fn file(doing: &str, path: &Path, error: impl Display) -> Error {
        Error::File {
            doing: doing.to_owned(),
            path: path.to_owned(),
            why: error.to_string(),
        }
    }
}
