//! The errors of this crate.

use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
};

/// A failure to read or allocate the machine's cores. The text says what failed and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel does not return the CPU affinity of this process.
    #[error("cannot read the CPU affinity of this process: {0}")]
    Affinity(#[from] io::Error),
    /// A flag names a core that this process may not use.
    #[error("{flag} names core {core}, but this process may only use cores {allowed}")]
    CoreNotAllowed {
        /// Command-line flag.
        flag: &'static str,
        /// Core that the flag names.
        core: usize,
        /// Cores that this process may use, as a list.
        allowed: String,
    },
    /// The replicas need more cores than are available to them.
    #[error(
        "{replicas} replicas x {share} CPUs per replica need {needed} cores, but only {available} are available ({pool}): \
         use fewer replicas, a smaller --cpus_per_replica_nums or a longer --model_cpus"
    )]
    TooFewCores {
        /// Number of replicas.
        replicas: usize,
        /// Number of cores per replica.
        share: usize,
        /// Number of cores for all replicas.
        needed: usize,
        /// Number of cores available to replicas.
        available: usize,
        /// Cores available to replicas, as a list.
        pool: String,
    },
}

/// An item of a core list that is neither a number nor a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a core: give numbers and ranges, for instance 20 21 or 20-23")]
pub struct InvalidCoreList(pub String);

/// A failed operation on a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}: {why}", path = path.display())]
pub struct FileError {
    doing: String,
    path: PathBuf,
    why: String,
}

impl FileError {
    /// Creates the error of a failed operation; `doing` completes "cannot ...".
    pub fn new(doing: &str, path: &Path, why: impl Display) -> FileError {
        FileError {
            doing: doing.to_owned(),
            path: path.to_owned(),
            why: why.to_string(),
        }
    }
}
