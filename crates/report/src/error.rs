//! What fails in a report.

use std::{fmt::Display, io, path::Path};

use results::FileError;

/// Why a report cannot be made, written or printed. The text says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// Results cannot be read.
    #[error(transparent)]
    Results(#[from] results::Error),
    /// A file of the report cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Standard output takes nothing.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
    /// There is nothing to import.
    #[error("none of these files is a result, of the original driver or of this one: see above")]
    NothingToImport,
}

impl Error {
    /// A failure to do something (`doing` completes "cannot ...") with a file or folder.
    pub(crate) fn file(doing: &str, path: &Path, why: impl Display) -> Error {
        FileError::new(doing, path, why).into()
    }
}
