//! How a running server learns that it must stop.

use std::{
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
};

use signal_hook::consts::{SIGINT, SIGTERM};

/// What tells a running server to stop.
#[derive(Debug)]
pub struct Stop(UnixStream);

impl Stop {
    /// Stops on SIGTERM and SIGINT.
    ///
    /// # Errors
    /// If the process cannot be told of signals.
    pub fn on_signals() -> io::Result<Stop> {
        let (stop, told) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGTERM, told.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGINT, told)?;
        Ok(Stop(stop))
    }

    /// Stops when the stream's other end is written to or closed.
    pub fn on_stream(stream: UnixStream) -> Stop {
        Stop(stream)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
