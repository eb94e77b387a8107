//! What the clients of a load and the thread that watches them know in common. The watcher writes the window, each
//! client its own counters; nobody waits for anybody.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use wire::query::Answer;

use crate::{
    load::{Load, Opening},
    overload::Counts,
    stats::Span,
};

/// No run is as long: a window that closes then is open until the run ends.
const FOREVER: Duration = Duration::from_secs(365 * 86_400);

/// So long before something is true, it is told: then no client has counted as if it were not.
const NOTICE: Duration = Duration::from_millis(1);

/// The window, and how far the clients are.
pub(crate) struct Shared {
    pub(crate) began: Instant,
    unopened: Span,
    window: OnceLock<Span>,
    closes_early: OnceLock<Instant>,
    stop: AtomicBool,
    /// One per client.
    pub(crate) counters: Vec<Counters>,
}

/// What one client has done until now. On cache lines of its own, and written by that client only, so that it costs a
/// store.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    sent: AtomicU64,
    answered: AtomicU64,
    ok: AtomicU64,
    refused: AtomicU64,
    batch_micros: AtomicU64,
}

impl Shared {
    pub(crate) fn begin(load: &Load<'_>, clients: usize) -> Shared {
        let began = Instant::now();
        let once = load.once;
        let closes = began + if once { FOREVER } else { load.duration };
        let shared = Shared {
            began,
            unopened: Span::unopened(closes),
            window: OnceLock::new(),
            closes_early: OnceLock::new(),
            stop: AtomicBool::new(false),
            counters: (0..clients).map(|_| Counters::default()).collect(),
        };
        if once || load.opening == Opening::AtOnce {
            let _ = shared.window.set(Span::new(began, closes));
        }
        shared
    }

    /// Opens the window in a moment. Once.
    pub(crate) fn open(&self) {
        let closes = self.unopened.closes;
        self.window
            .get_or_init(|| Span::new((Instant::now() + NOTICE).min(closes), closes));
    }

    /// Closes an open window at the end of the slice that has begun. Once.
    pub(crate) fn close_early(&self) {
        if let Some(window) = self.window.get() {
            let soon = window.slice_at(Instant::now() + NOTICE);
            let end = window.slice_begins(soon + 1).min(window.closes);
            self.closes_early.get_or_init(|| end);
        }
    }

    /// The window; until it opens, one that contains nothing.
    pub(crate) fn span(&self) -> Span {
        let span = *self.window.get().unwrap_or(&self.unopened);
        Span {
            closes: *self.closes_early.get().unwrap_or(&span.closes),
            ..span
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.window.get().is_some()
    }

    /// Ends the clients; what is in flight is cancelled.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// The sum over all clients.
    pub(crate) fn counts(&self) -> Counts {
        let add = |sum: Counts, client: &Counters| {
            let of = |counter: &AtomicU64| counter.load(Relaxed);
            Counts {
                sent: sum.sent + of(&client.sent),
                answered: sum.answered + of(&client.answered),
                ok: sum.ok + of(&client.ok),
                refused: sum.refused + of(&client.refused),
                batch_micros: sum.batch_micros + of(&client.batch_micros),
            }
        };
        self.counters.iter().fold(Counts::default(), add)
    }
}

impl Counters {
    pub(crate) fn sent(&self) {
        add(&self.sent, 1);
    }

    pub(crate) fn answered(&self, answer: &Answer<'_>) {
        let mut one = Counts::default();
        one.answered(answer);
        add(&self.answered, one.answered);
        add(&self.ok, one.ok);
        add(&self.refused, one.refused);
        add(&self.batch_micros, one.batch_micros);
    }
}

/// Adds to a counter that only one thread writes.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed) + more, Relaxed);
}
