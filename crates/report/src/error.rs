//! Errors of reports.

use std::{fmt::Display, io, path::Path};

use results::FileError;

/// Error of a report that cannot be made, written or printed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is not valid.
    #[error("{0}")]
    Usage(String),
    /// Results cannot be read.
    #[error(transparent)]
    Results(#[from] results::Error),
    /// A file of the report cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// No file can be imported.
    #[error("none of these files is a result, of the original driver or of this one: see above")]
    NothingToImport,
}

impl Error {
    /// Returns the error of an operation on a file or folder; `doing` completes "cannot ...".
    pub(crate) fn file(doing: &str, path: &Path, why: impl Display) -> Error {
        FileError::new(doing, path, why).into()
    }
}
