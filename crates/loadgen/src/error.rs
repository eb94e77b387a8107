//! What fails in a load.

use std::{io, path::PathBuf};

/// Why a load cannot be sent, or its answers cannot be counted. The text says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client threads cannot be started on their cores.
    #[error("cannot start the clients on their cores: {0}")]
    Start(io::Error),
    /// A client's socket or timer fails.
    #[error("a socket of the load generator failed: {0}")]
    Socket(String),
    /// Nothing answers where clients connect.
    #[error("no frontend answered at {endpoint} within {seconds} s: see its log")]
    NoAnswer {
        /// Where the client connected.
        endpoint: String,
        /// How long it waited.
        seconds: u64,
    },
    /// Something else than a frontend of this version answers there.
    #[error(
        "what answers at {endpoint} does not speak the native dialect ({why}): build frontend and driver from one commit"
    )]
    Dialect {
        /// Where the client connected.
        endpoint: String,
        /// The reason, about the reply.
        why: String,
    },
    /// Nobody is there to ask.
    #[error("the frontend is not there")]
    Unreachable,
    /// The connection broke: queries in flight get no answer any more.
    #[error("the connection to the frontend broke")]
    Disconnected,
    /// No answer came in time.
    #[error("the frontend did not answer in time")]
    TimedOut,
    /// An answer cannot be decoded.
    #[error(
        "the frontend sent an answer that cannot be read ({0}): it is of another version than this driver; build both from \
         one commit"
    )]
    Unreadable(String),
    /// After an overloaded load no query is answered.
    #[error(
        "the frontend has answered no query for {seconds} s after an overloaded phase, so the next phase would begin with a \
         full queue: see the logs of the frontend and the replicas"
    )]
    Unsettled {
        /// How long was waited.
        seconds: u64,
    },
    /// The null server's socket fails.
    #[error("a socket of the null server failed: {0}")]
    NullServer(#[from] zmq::Error),
    /// A trace cannot be used.
    #[error("{0}")]
    Trace(#[from] TraceError),
}

/// Why a file is no trace, or a trace is too short.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file system says no.
    #[error("cannot read the trace {file}: {why}", file = file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the file system says.
        why: io::Error,
    },
    /// A line is no time, or earlier than the one before it.
    #[error("line {number} of the trace {file} is {entry:?}: {what}", file = file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The number of the line, from 1.
        number: usize,
        /// The beginning of the line.
        entry: String,
        /// The reason.
        what: &'static str,
    },
    /// There is no time in it.
    #[error("the trace {file} holds no times", file = .0.display())]
    Empty(PathBuf),
    /// Too few queries arrive after the warm-up to say anything about their latency.
    #[error(
        "the trace {file} has {arrivals} arrivals in {length} s, and {counted} of them are sent in the window from {opens} s \
         to {closes} s, after the warm-up: a median takes {fewest}, a 99th percentile 368; take {remedy}",
        file = file.display()
    )]
    TooShort {
        /// The file.
        file: PathBuf,
        /// Arrivals in it.
        arrivals: usize,
        /// Its length in seconds.
        length: f64,
        /// Arrivals in the window.
        counted: usize,
        /// When the window opens, in seconds.
        opens: f64,
        /// When it closes, in seconds.
        closes: f64,
        /// How many a median takes.
        fewest: usize,
        /// What to do.
        remedy: &'static str,
    },
}
