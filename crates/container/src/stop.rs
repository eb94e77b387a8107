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
    flag, low_level,
};

use crate::error::Error;

/// What tells a running server to stop.
#[derive(Debug)]
pub struct Stop {
    told: UnixStream,
    /// Signals are for the process, so it is not kept by a model that hangs.
    ends_process: bool,
}

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
        let (told, tell) = UnixStream::pair()?;
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the first signal finds the flag unset.
            flag::register_conditional_shutdown(signal, 1, stopping.clone())?;
            flag::register(signal, stopping.clone())?;
        }
        low_level::pipe::register(SIGTERM, tell.try_clone()?)?;
        low_level::pipe::register(SIGINT, tell)?;
        loading.store(false, Relaxed);
        Ok(Stop {
            told,
            ends_process: true,
        })
    }

    /// Stops when the stream's other end is written to or closed.
    pub fn on_stream(stream: UnixStream) -> Stop {
        Stop {
            told: stream,
            ends_process: false,
        }
    }

    /// Ends the process while the model still computes, if signals may do that; the answer could not be sent any more.
    pub(crate) fn leave_the_model(&self, outcome: Result<(), Error>) -> Result<(), Error> {
        if !self.ends_process {
            return outcome;
        }
        match outcome {
            Ok(()) => tracing::error!("the model has not finished in time: ending without it"),
            Err(error) => tracing::error!("{:#}", anyhow::Error::from(error)),
        }
        // Not `std::process::exit`: it would run an engine's destructors under its running threads.
        low_level::exit(1);
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.told.as_raw_fd()
    }
}
