//! The state that all clients of a run share: active faults, the stop flag, and progress.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::active_faults::ActiveFaults;

/// Progress of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryProgress {
    /// Queries sent.
    pub sent: u64,
    /// Queries answered within the latency objective.
    pub in_time: u64,
}

/// State that all clients of a run share.
#[derive(Debug, Default)]
pub struct RunState {
    /// Currently active faults.
    pub faults: ActiveFaults,
    stop: AtomicBool,
    sent: AtomicU64,
    in_time: AtomicU64,
}

impl RunState {
    /// Returns true if clients must send no more queries.
    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Stops the clients from sending, or lets them resume.
    pub fn set_stopped(&self, stop: bool) {
        self.stop.store(stop, Relaxed);
    }

    /// Progress of all clients.
    pub fn progress(&self) -> QueryProgress {
        QueryProgress {
            sent: self.sent.load(Relaxed),
            in_time: self.in_time.load(Relaxed),
        }
    }

    /// Adds a client's progress since `last`, and updates `last`.
    pub(crate) fn add_progress(&self, progress: QueryProgress, last: &mut QueryProgress) {
        self.sent.fetch_add(progress.sent - last.sent, Relaxed);
        self.in_time
            .fetch_add(progress.in_time - last.in_time, Relaxed);
        *last = progress;
    }
}
