//! State that the clients of a load share with the watcher thread. The watcher writes the window,
//! each client writes its own counters, and no thread waits for another.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use wire::query::Answer;

use crate::{
    load::{Load, WindowOpening},
    overload::OverloadCounts,
    stats::Span,
};

/// Longer than any run: a window with this length stays open until the run ends.
const FOREVER: Duration = Duration::from_secs(365 * 86_400);

/// Changes of the window are announced this far ahead, so that no client misclassifies a query.
const NOTICE: Duration = Duration::from_millis(1);

/// The window, and the progress of the clients.
pub(crate) struct SharedState {
    pub(crate) began: Instant,
    unopened: Span,
    window: OnceLock<Span>,
    closes_early: OnceLock<Instant>,
    stop: AtomicBool,
    /// One per client.
    pub(crate) counters: Vec<ClientCounters>,
}

/// Counts of one client so far. Only that client writes them, and they have cache lines of their
/// own, so an update costs one store.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct ClientCounters {
    sent: AtomicU64,
    answered: AtomicU64,
    ok: AtomicU64,
    refused: AtomicU64,
    batch_micros: AtomicU64,
}

impl SharedState {
    pub(crate) fn begin(load: &Load<'_>, clients: usize) -> SharedState {
        let began = Instant::now();
        let once = load.send_once;
        let closes = began + if once { FOREVER } else { load.duration };
        let shared = SharedState {
            began,
            unopened: Span::unopened(closes),
            window: OnceLock::new(),
            closes_early: OnceLock::new(),
            stop: AtomicBool::new(false),
            counters: (0..clients).map(|_| ClientCounters::default()).collect(),
        };
        if once || load.opening == WindowOpening::Immediate {
            let _ = shared.window.set(Span::new(began, closes));
        }
        shared
    }

    /// Opens the window after the notice. Later calls have no effect.
    pub(crate) fn open(&self) {
        let closes = self.unopened.closes;
        self.window
            .get_or_init(|| Span::new((Instant::now() + NOTICE).min(closes), closes));
    }

    /// Closes an open window at the end of the current slice. Later calls have no effect.
    pub(crate) fn close_early(&self) {
        if let Some(window) = self.window.get() {
            let soon = window.slice_at(Instant::now() + NOTICE);
            let end = window.slice_start(soon + 1).min(window.closes);
            self.closes_early.get_or_init(|| end);
        }
    }

    /// Returns the window, or an empty one until it opens.
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

    /// Ends the clients and cancels the queries in flight.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Returns the sum over all clients.
    pub(crate) fn counts(&self) -> OverloadCounts {
        let add = |sum: OverloadCounts, client: &ClientCounters| {
            let of = |counter: &AtomicU64| counter.load(Relaxed);
            OverloadCounts {
                sent: sum.sent + of(&client.sent),
                answered: sum.answered + of(&client.answered),
                ok: sum.ok + of(&client.ok),
                refused: sum.refused + of(&client.refused),
                batch_micros: sum.batch_micros + of(&client.batch_micros),
            }
        };
        self.counters.iter().fold(OverloadCounts::default(), add)
    }
}

impl ClientCounters {
    pub(crate) fn on_sent(&self) {
        add(&self.sent, 1);
    }

    pub(crate) fn on_answer(&self, answer: &Answer<'_>) {
        let mut one = OverloadCounts::default();
        one.record(answer);
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
