//! What fails when this crate looks at the machine.

use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
};

/// Why the machine's cores cannot be read or given out. The text says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel does not say which cores this process may use.
    #[error("cannot read this process's cores: {0}")]
    Affinity(#[from] io::Error),
    /// A flag names a core that this process may not use.
    #[error("{flag} names core {core}, but this process may use cores {allowed} only")]
    CoreNotAllowed {
        /// The flag of the command line.
        flag: &'static str,
        /// The core that it names.
        core: usize,
        /// The cores that this process may use, as a list.
        allowed: String,
    },
    /// The cores for replicas are too few.
    #[error(
        "{replicas} replicas x {share} CPUs per replica need {needed} cores, but there are {available} for them ({pool}): \
         take fewer replicas, a smaller --cpus_per_replica_nums or a longer --model_cpus"
    )]
    TooFewCores {
        /// Replicas that were asked for.
        replicas: usize,
        /// Cores for each.
        share: usize,
        /// Cores for all of them.
        needed: usize,
        /// Number of cores that replicas may have.
        available: usize,
        /// Those cores, as a list.
        pool: String,
    },
}

/// A piece of a list of cores that is neither a number nor a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no core: write numbers and ranges, for instance 20 21 or 20-23")]
pub struct NotACore(pub String);

/// Something cannot be done with a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}: {why}", path = path.display())]
pub struct FileError {
    doing: String,
    path: PathBuf,
    why: String,
}

impl FileError {
    /// A failure to do something (`doing` completes "cannot ...") with a file or folder.
    pub fn new(doing: &str, path: &Path, why: impl Display) -> FileError {
        FileError {
            doing: doing.to_owned(),
            path: path.to_owned(),
            why: why.to_string(),
        }
    }
}
