//! When a client asks its next query, and what all clients share.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::weather::Weather;

/// How fast a client asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as it gets its answers, with so many queries open.
    Window(usize),
    /// So many a second, evenly, whatever the answers do, unless two seconds' are open.
    Rate(f64),
}

/// Queries of so long a time may be open: several objectives. With more the machine does not keep up at all, because others took it
/// after the capacity was found, and the queries would only wait in sockets.
const BEHIND: Duration = Duration::from_secs(2);

/// The least that may be open, however low the rate.
const FEW: f64 = 64.0;

/// A client that is so late leaves out what it owes: it is not the frontend that is measured then.
const LATEST: Duration = Duration::from_secs(1);

/// Says when the next query is due.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    pace: Pace,
    next: Instant,
}

impl Pacer {
    /// Begins at `now`.
    pub fn new(pace: Pace, now: Instant) -> Pacer {
        Pacer { pace, next: now }
    }

    /// When the next query is due, with so many open; `None`: not before an answer has come.
    pub fn due(&mut self, now: Instant, open: usize) -> Option<Instant> {
        match self.pace {
            Pace::Window(most) => (open < most).then_some(now),
            Pace::Rate(rate) => {
                if open as f64 >= (rate * BEHIND.as_secs_f64()).max(FEW) {
                    return None;
                }
                if now.saturating_duration_since(self.next) > LATEST {
                    self.next = now;
                }
                Some(self.next)
            }
        }
    }

    /// A query was asked.
    pub fn asked(&mut self) {
        if let Pace::Rate(rate) = self.pace {
            self.next += Duration::from_secs_f64(1.0 / rate);
        }
    }
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

    /// Queries asked, and answered in time, until now.
    pub fn progress(&self) -> (u64, u64) {
        (self.asked.load(Relaxed), self.in_time.load(Relaxed))
    }

    /// A client's progress; `last` is what it said before.
    pub(crate) fn note(&self, progress: (u64, u64), last: &mut (u64, u64)) {
        self.asked.fetch_add(progress.0 - last.0, Relaxed);
        self.in_time.fetch_add(progress.1 - last.1, Relaxed);
        *last = progress;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_after_a_short_delay_and_given_up_after_a_long_one() {
        let began = Instant::now();
        let mut pacer = Pacer::new(Pace::Rate(10.0), began);
        let later = began + Duration::from_millis(500);
        let mut asked = 0;
        while pacer.due(later, 63).is_some_and(|due| due <= later) {
            pacer.asked();
            asked += 1;
        }
        assert_eq!(asked, 6);
        assert_eq!(pacer.due(later, 64), None);
        let much_later = began + Duration::from_secs(60);
        assert_eq!(pacer.due(much_later, 0), Some(much_later));
    }

    #[test]
    fn a_full_window_waits_for_an_answer() {
        let now = Instant::now();
        let mut pacer = Pacer::new(Pace::Window(2), now);
        assert_eq!(pacer.due(now, 1), Some(now));
        pacer.asked();
        assert_eq!(pacer.due(now, 2), None);
    }
}
