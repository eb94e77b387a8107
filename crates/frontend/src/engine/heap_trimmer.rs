//! Decides when to return memory to the kernel: after long queues, the allocator keeps tens of MiB.

use std::time::Duration;

use scheduler::{DroppedQueries, Queued, Timestamp};

/// Period between two checks.
const CHECK_PERIOD: Duration = Duration::from_millis(100);

/// Minimum number of bytes in the queues that makes a trim worthwhile.
const MIN_PEAK: usize = 4 << 20;

/// Minimum memory of a queued query without its input, in bytes.
const QUERY_OVERHEAD: usize = 512;

/// Time for which queues must be short before a trim, so that memory that is needed again soon is
/// kept.
const QUIET_TIME: Duration = Duration::from_secs(1);

/// Tracks the size of the queues.
#[derive(Debug, Default)]
pub(super) struct HeapTrimmer {
    last_check: Timestamp,
    /// Queries that had been dropped at the last check.
    dropped: DroppedQueries,
    /// Maximum number of queued bytes since the last trim, and the bytes of all queries that were
    /// dropped since then: under overload they pass through the queue within a turn.
    peak: usize,
    /// Time since which the queues have been short; `None` while they are not.
    quiet_since: Option<Timestamp>,
}

impl HeapTrimmer {
    /// Returns true if memory should be returned to the kernel now. `queued` returns the content of
    /// all queues; it is called once per period.
    pub(super) fn is_due(&mut self, queued: impl FnOnce() -> Queued, now: Timestamp) -> bool {
        if now < self.last_check + CHECK_PERIOD {
            return false;
        }
        self.last_check = now;
        let queued = queued();
        let dropped = std::mem::replace(&mut self.dropped, queued.dropped);
        let dropped = queued.dropped.bytes.wrapping_sub(dropped.bytes)
            + QUERY_OVERHEAD * queued.dropped.queries.wrapping_sub(dropped.queries);
        let queued = queued.bytes + QUERY_OVERHEAD * queued.queries + dropped;
        self.peak = self.peak.max(queued).saturating_add(dropped);
        if self.peak < MIN_PEAK || queued > self.peak / 8 {
            self.quiet_since = None;
            return false;
        }
        let since = *self.quiet_since.get_or_insert(now);
        let due = now >= since + QUIET_TIME;
        if due {
            *self = HeapTrimmer {
                last_check: now,
                dropped: self.dropped,
                ..HeapTrimmer::default()
            };
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the checks at which a trim is due. Element `n` of `kib` is the size of the queues at
    /// check `n`, in KiB.
    fn due_checks(kib: &[usize]) -> Vec<usize> {
        let mut heap_trimmer = HeapTrimmer::default();
        let mut due = Vec::new();
        for (index, kib) in kib.iter().enumerate() {
            let queued = Queued {
                bytes: kib << 10,
                ..Queued::default()
            };
            let now = CHECK_PERIOD * (index as u32 + 1);
            if heap_trimmer.is_due(|| queued, now) {
                due.push(index);
            }
        }
        due
    }

    #[test]
    fn trims_once_a_second_after_a_long_queue() {
        let mut kib = [0; 40];
        kib[..5].fill(10_000);
        assert_eq!(due_checks(&kib), [15]);
    }

    #[test]
    fn queries_dropped_at_once_count_as_queued() {
        let mut heap_trimmer = HeapTrimmer::default();
        let queued = Queued {
            dropped: DroppedQueries {
                queries: 1_000,
                bytes: 10 << 20,
            },
            ..Queued::default()
        };
        let due = (1..40).filter(|check| heap_trimmer.is_due(|| queued, CHECK_PERIOD * *check));
        assert_eq!(due.collect::<Vec<_>>(), [12]);
    }

    #[test]
    fn never_trims_for_recurring_or_short_queues() {
        assert_eq!(due_checks(&[10_000, 0, 0, 0, 0, 0, 0].repeat(6)), [0; 0]);
        assert_eq!(
            due_checks(&[3_000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            [0; 0]
        );
    }
}
