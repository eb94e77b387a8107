//! Why the state cannot be read or written.

use std::{io, path::PathBuf};

use redis::RedisError;

use crate::settings::NoRedisAddress;

/// Why the state cannot be read when the frontend starts.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The flag for Redis has no address.
    #[error(transparent)]
    RedisAddress(#[from] NoRedisAddress),
    /// The client of Redis does not take the address.
    #[error("cannot use the address of Redis: {0}")]
    Redis(RedisError),
    /// This machine's name, which marks this frontend's rows in Redis, cannot be read.
    #[error("cannot read this machine's name: {0}")]
    HostName(io::Error),
    /// The system gives no more threads.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The state file is none, or another frontend has it open.
    #[error(
        "cannot open the state file {}: is it one, and is no other frontend using it?: {error}", file.display()
    )]
    Open {
        /// The file.
        file: PathBuf,
        /// Why.
        error: redb::DatabaseError,
    },
    /// The state file cannot be read.
    #[error("cannot read the state file {}: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why: the database's error, or JSON's.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a change cannot be written where the state is kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    File(#[from] redb::Error),
    #[error(transparent)]
    Redis(#[from] RedisError),
}
