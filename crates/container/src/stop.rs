//! Shutdown of a running model server, by signal or stream.

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

/// Stop request for a running model server.
#[derive(Debug)]
pub struct Stop {
    /// Becomes readable when the server must stop.
    requests: UnixStream,
    /// True for signals: they concern the process, so a model that hangs must not keep it alive.
    ends_process: bool,
}

impl Stop {
    /// Makes SIGTERM and SIGINT end the process immediately with status 0, until
    /// [`Stop::on_signals`] replaces this. Without a handler, the kernel does not deliver them to
    /// the first process of a container.
    ///
    /// # Errors
    /// If a signal handler cannot be installed.
    pub fn exit_immediately() -> io::Result<Arc<AtomicBool>> {
        let loading = Arc::new(AtomicBool::new(true));
        flag::register_conditional_shutdown(SIGTERM, 0, loading.clone())?;
        flag::register_conditional_shutdown(SIGINT, 0, loading.clone())?;
        Ok(loading)
    }

    /// Stops gracefully on SIGTERM and SIGINT; a second signal ends the process immediately with
    /// status 1.
    ///
    /// # Errors
    /// If a signal handler cannot be installed.
    pub fn on_signals(loading: &AtomicBool) -> io::Result<Stop> {
        let (requests, notify) = UnixStream::pair()?;
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // The order matters: at the first signal, the exit handler must find the flag unset.
            flag::register_conditional_shutdown(signal, 1, stopping.clone())?;
            flag::register(signal, stopping.clone())?;
        }
        low_level::pipe::register(SIGTERM, notify.try_clone()?)?;
        low_level::pipe::register(SIGINT, notify)?;
        loading.store(false, Relaxed);
        Ok(Stop {
            requests,
            ends_process: true,
        })
    }

    /// Stops when the stream's other end is written to or closed.
    pub fn on_stream(stream: UnixStream) -> Stop {
        Stop {
            requests: stream,
            ends_process: false,
        }
    }

    /// Ends the process while the model still computes, if the stop request came from signals; the
    /// result could not be sent any more.
    pub(crate) fn abandon_model(&self, outcome: Result<(), Error>) -> Result<(), Error> {
        if !self.ends_process {
            return outcome;
        }
        match outcome {
            Ok(()) => {
                tracing::error!("the model did not finish in time: exiting without its result")
            }
            Err(error) => tracing::error!("{:#}", anyhow::Error::from(error)),
        }
        // `std::process::exit` would run an engine's destructors under its running threads.
        low_level::exit(1);
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.requests.as_raw_fd()
    }
}
