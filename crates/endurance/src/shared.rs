//! What all clients share: what is wrong at the moment, whether to ask, and how far they are.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::weather::Weather;

/// How far clients are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Queries asked.
    pub asked: u64,
    /// Those answered in time.
    pub in_time: u64,
}

/// What all clients share.
#[derive(Debug, Default)]
pub struct Shared {
    /// What is wrong at the moment.
    pub weather: Weather,
    stop: AtomicBool,
    asked: AtomicU64,
    in_time: AtomicU64,
}

impl Shared {
    /// Whether clients are to ask no more.
    pub fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Clients are to ask no more, or to ask again.
    pub fn stop(&self, stop: bool) {
        self.stop.store(stop, Relaxed);
    }

    /// How far all clients are.
    pub fn progress(&self) -> Asked {
        Asked {
            asked: self.asked.load(Relaxed),
            in_time: self.in_time.load(Relaxed),
        }
    }

    /// Adds a client's progress since it was at `last`.
    pub(crate) fn note(&self, progress: Asked, last: &mut Asked) {
        self.asked.fetch_add(progress.asked - last.asked, Relaxed);
        self.in_time
            .fetch_add(progress.in_time - last.in_time, Relaxed);
        *last = progress;
    }
}
