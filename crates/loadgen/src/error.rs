//! Errors of a load and of reading a trace.

use std::{io, path::PathBuf};

/// Error that ends a load or a client. The text says what failed and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client threads cannot be started on their cores.
    #[error("cannot start the clients on their cores: {0}")]
    Start(io::Error),
    /// A client's socket or timer failed.
    #[error("a socket of the load generator failed: {0}")]
    Socket(String),
    /// No reply to the connect message arrived.
    #[error("no frontend answered at {endpoint} within {seconds} s: see its log")]
    NoAnswer {
        /// Endpoint that the client connected to.
        endpoint: String,
        /// Time waited, in seconds.
        seconds: u64,
    },
    /// The peer is not a frontend of this version.
    #[error(
        "the peer at {endpoint} does not speak the native dialect ({why}): build frontend and driver from one commit"
    )]
    Dialect {
        /// Endpoint that the client connected to.
        endpoint: String,
        /// Error in the peer's reply.
        why: String,
    },
    /// The client is not connected; nothing was sent.
    #[error("the frontend cannot be reached")]
    Unreachable,
    /// The connection broke; queries in flight get no answer.
    #[error("the connection to the frontend broke")]
    Disconnected,
    /// No answer arrived in time.
    #[error("the frontend did not answer in time")]
    TimedOut,
    /// An answer cannot be decoded.
    #[error(
        "cannot read an answer of the frontend ({0}): its version differs from the driver's; build both from one commit"
    )]
    Unreadable(String),
    /// No query is answered after an overloaded load.
    #[error(
        "the frontend has answered no query for {seconds} s after an overloaded phase, so the next phase would begin with a \
         full queue: see the logs of the frontend and the replicas"
    )]
    NotDrained {
        /// Time waited, in seconds.
        seconds: u64,
    },
    /// A socket of the null server failed.
    #[error("a socket of the null server failed: {0}")]
    NullServer(#[from] zmq::Error),
    /// A trace cannot be used.
    #[error("{0}")]
    Trace(#[from] TraceError),
}

/// Reason why a file is not a valid trace, or why a trace is too short.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("cannot read the trace {file}: {why}", file = file.display())]
    File {
        /// Path of the trace.
        file: PathBuf,
        /// Error of the file system.
        why: io::Error,
    },
    /// A line is not a time, or is earlier than the line before it.
    #[error("line {number} of the trace {file} is {entry:?}: {what}", file = file.display())]
    Line {
        /// Path of the trace.
        file: PathBuf,
        /// Number of the line, from 1.
        number: usize,
        /// Beginning of the line.
        entry: String,
        /// Rule that the line breaks.
        what: &'static str,
    },
    /// The file contains no times.
    #[error("the trace {file} holds no times", file = .0.display())]
    Empty(PathBuf),
    /// Too few queries arrive after the warm-up to state their latency.
    #[error(
        "the trace {file} has {arrivals} arrivals in {length} s, and {counted} of them are sent in the window from {opens} s \
         to {closes} s, after the warm-up: a median needs {fewest}, a 99th percentile 368; use {remedy}",
        file = file.display()
    )]
    TooShort {
        /// Path of the trace.
        file: PathBuf,
        /// Number of arrivals in the trace.
        arrivals: usize,
        /// Length of the trace in seconds.
        length: f64,
        /// Number of arrivals in the window.
        counted: usize,
        /// Opening of the window, in seconds from the first arrival.
        opens: f64,
        /// Close of the window, in seconds from the first arrival.
        closes: f64,
        /// Number of arrivals that a median needs.
        fewest: usize,
        /// Change that gives enough arrivals.
        remedy: &'static str,
    },
}
