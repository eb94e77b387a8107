//! Logs dropped messages, at most one line per peer and reason in each period.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Period in which the same reason is logged once for the same peer.
const PERIOD: Duration = Duration::from_secs(60);

/// Maximum number of combinations of peer and reason that are logged in a period; further ones are
/// only counted.
const MAX_KINDS: usize = 256;

/// Keeps peers that send malformed messages from filling the log. Clones share their counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct DropLog(Arc<Mutex<DropCounts>>);

#[derive(Debug, Default)]
struct DropCounts {
    /// The last line of the log for each peer and reason.
    logged: HashMap<DropKind, LastLine>,
    /// Number of dropped messages since the start.
    total: u64,
}

/// A peer and a reason, logged once in each period.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct DropKind {
    peer: String,
    what: String,
}

#[derive(Debug)]
struct LastLine {
    at: Instant,
    /// Number of messages since then that were not logged.
    suppressed: u64,
}

impl DropLog {
    /// Counts a dropped message, and logs it unless the same was logged in this period.
    pub(crate) fn add(&self, peer: &dyn fmt::Display, what: &dyn fmt::Display) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = DropKind {
            peer: peer.to_string(),
            what: what.to_string(),
        };
        if let Some(suppressed) = log.add(kind) {
            match suppressed {
                0 => tracing::warn!("dropped message from {peer}: {what}"),
                _ => {
                    tracing::warn!("dropped message from {peer}: {what} (and {suppressed} before)")
                }
            }
        }
    }

    /// Number of dropped messages since the start.
    pub(crate) fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl DropCounts {
    /// Counts a message. Returns the number of suppressed messages of its kind if it is to be
    /// logged now.
    fn add(&mut self, kind: DropKind) -> Option<u64> {
        self.total += 1;
        if let Some(last) = self.logged.get_mut(&kind) {
            if last.at.elapsed() < PERIOD {
                last.suppressed += 1;
                return None;
            }
        } else if self.logged.len() >= MAX_KINDS {
            self.logged.retain(|_, last| last.at.elapsed() < PERIOD);
            if self.logged.len() >= MAX_KINDS {
                return None;
            }
        }
        let now = LastLine {
            at: Instant::now(),
            suppressed: 0,
        };
        Some(
            self.logged
                .insert(kind, now)
                .map_or(0, |last| last.suppressed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_bounded_and_every_drop_is_counted() {
        let mut counts = DropCounts::default();
        let kind = |peer: u32| DropKind {
            peer: peer.to_string(),
            what: "malformed".to_owned(),
        };
        let logged = (0..10_000).filter(|peer| counts.add(kind(*peer)).is_some());
        assert_eq!(logged.count(), MAX_KINDS);
        assert!((0..10_000).all(|_| counts.add(kind(1)).is_none()));
        assert_eq!((counts.logged.len(), counts.total), (MAX_KINDS, 20_000));
        assert_eq!(counts.logged[&kind(1)].suppressed, 10_000);
    }
}
