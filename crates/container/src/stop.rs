//! How a running server learns that it must stop.

use std::{
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// What tells a running server to stop.
#[derive(Debug)]
pub struct Stop(UnixStream);

impl Stop {
    /// Until [`Stop::on_signals`] takes over, SIGTERM and SIGINT end the process at once, with status 0. The kernel by itself would
    /// keep them from a container's first process.
    ///
    /// # Errors
    /// If the process cannot be told of signals.
    pub fn at_once() -> io::Result<Arc<AtomicBool>> {
        let loading = Arc::new(AtomicBool::new(true));
        flag::register_conditional_shutdown(SIGTERM, 0, loading.clone())?;
        flag::register_conditional_shutdown(SIGINT, 0, loading.clone())?;
        Ok(loading)
    }

    /// Stops in good order on SIGTERM and SIGINT; a second signal ends the process at once, with status 1.
    ///
    /// # Errors
    /// If the process cannot be told of signals.
    pub fn on_signals(loading: &AtomicBool) -> io::Result<Stop> {
        let (stop, told) = UnixStream::pair()?;
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag unset.
            flag::register_conditional_shutdown(signal, 1, stopping.clone())?;
            flag::register(signal, stopping.clone())?;
        }
        signal_hook::low_level::pipe::register(SIGTERM, told.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGINT, told)?;
        loading.store(false, Relaxed);
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
