//! Errors of reading and writing the state.

use std::{io, path::PathBuf};

use redis::RedisError;

use crate::settings::RedisAddressError;

/// The error of reading the state when the frontend starts.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The value of `--redis` is not an address.
    #[error(transparent)]
    RedisAddress(#[from] RedisAddressError),
    /// The Redis client refuses the address.
    #[error("cannot use the address of Redis: {0}; check --redis")]
    Redis(RedisError),
    /// The host name, which marks this frontend's rows in Redis, cannot be read.
    #[error("cannot read the host name from /proc/sys/kernel/hostname: {0}")]
    HostName(io::Error),
    /// The system has no more threads.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The file is not a state file, or another frontend has it open.
    #[error(
        "cannot open the state file {}: {error}; check that it is a state file and that no other frontend uses it",
        file.display()
    )]
    Open {
        /// The file.
        file: PathBuf,
        /// The cause.
        error: redb::DatabaseError,
    },
    /// The state file cannot be read.
    #[error("cannot read the state file {}: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The cause: an error of the database or of the JSON parser.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The error of writing a change to the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    File(#[from] redb::Error),
    #[error(transparent)]
    Redis(#[from] RedisError),
}
