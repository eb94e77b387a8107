//! Logs dropped messages, at most one line per peer and reason in each period.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Period after which the same reason is logged again for the same peer.
const AGAIN: Duration = Duration::from_secs(60);

/// Number of peers and reasons that are told apart in a period; further ones are only counted.
const MOST: usize = 256;

/// Keeps peers that send malformed messages from filling the log. Clones share their counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct DropLog(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    said: HashMap<Kind, Said>,
    /// Number of dropped messages since the start.
    total: u64,
}

/// A peer and a reason, logged once in each period.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    peer: String,
    what: String,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    unsaid: u64,
}

impl DropLog {
    /// Counts a dropped message, and logs it unless the same was logged in this period.
    pub(crate) fn add(&self, peer: &dyn fmt::Display, what: &dyn fmt::Display) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = Kind {
            peer: peer.to_string(),
            what: what.to_string(),
        };
        if let Some(unsaid) = log.add(kind) {
            match unsaid {
                0 => tracing::warn!("dropped message from {peer}: {what}"),
                _ => tracing::warn!("dropped message from {peer}: {what} (and {unsaid} before)"),
            }
        }
    }

    /// Number of dropped messages since the start.
    pub(crate) fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

impl Log {
    /// How many were not said since the last of this kind, if it is to be said now.
    fn add(&mut self, kind: Kind) -> Option<u64> {
        self.total += 1;
        if let Some(said) = self.said.get_mut(&kind) {
            if said.at.elapsed() < AGAIN {
                said.unsaid += 1;
                return None;
            }
        } else if self.said.len() >= MOST {
            self.said.retain(|_, said| said.at.elapsed() < AGAIN);
            if self.said.len() >= MOST {
                return None;
            }
        }
        let now = Said {
            at: Instant::now(),
            unsaid: 0,
        };
        Some(
            self.said
                .insert(kind, now)
                .map_or(0, |before| before.unsaid),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_a_bound_and_all_is_counted() {
        let mut log = Log::default();
        let kind = |peer: u32| Kind {
            peer: peer.to_string(),
            what: "nonsense".to_owned(),
        };
        let said = (0..10_000).filter(|peer| log.add(kind(*peer)).is_some());
        assert_eq!(said.count(), MOST);
        assert!((0..10_000).all(|_| log.add(kind(1)).is_none()));
        assert_eq!((log.said.len(), log.total), (MOST, 20_000));
        assert_eq!(log.said[&kind(1)].unsaid, 10_000);
    }
}
