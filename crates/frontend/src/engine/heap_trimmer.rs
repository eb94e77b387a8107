//! Decides when to return memory to the kernel: the allocator keeps what long queues took, tens of MiB of it.

use std::time::Duration;

use scheduler::{Load, Timestamp};

/// Period between two checks.
const EVERY: Duration = Duration::from_millis(100);

/// Queues must have held at least this many bytes for a trim to be worth it.
const WORTH: usize = 4 << 20;

/// Memory of a waiting query besides its input, in bytes, at least.
const QUERY: usize = 512;

/// Time for which queues must be short, so that memory which is needed again at once stays.
const QUIET: Duration = Duration::from_secs(1);

/// Tracks the length of the queues.
#[derive(Debug, Default)]
pub(super) struct HeapTrimmer {
    looked: Timestamp,
    /// Largest number of bytes that waited since the last trim.
    most: usize,
    /// Start of the time in which little waits.
    quiet: Option<Timestamp>,
}

impl HeapTrimmer {
    /// Returns true if memory should be returned to the kernel now.
    pub(super) fn is_due(&mut self, loads: impl Iterator<Item = Load>, now: Timestamp) -> bool {
        if now < self.looked + EVERY {
            return false;
        }
        self.looked = now;
        let waiting = loads
            .map(|load| load.bytes + QUERY * load.queries)
            .sum::<usize>();
        self.most = self.most.max(waiting);
        if self.most < WORTH || waiting > self.most / 8 {
            self.quiet = None;
            return false;
        }
        let since = *self.quiet.get_or_insert(now);
        let due = now >= since + QUIET;
        if due {
            *self = HeapTrimmer {
                looked: now,
                ..HeapTrimmer::default()
            };
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tenths of a second, from the first on, at which memory is given back while so many KiB wait.
    fn due(kib: &[usize]) -> Vec<usize> {
        let mut heap_trimmer = HeapTrimmer::default();
        let mut due = Vec::new();
        for (index, kib) in kib.iter().enumerate() {
            let load = Load {
                bytes: kib << 10,
                ..Load::default()
            };
            let now = EVERY * (index as u32 + 1);
            if heap_trimmer.is_due([load].into_iter(), now) {
                due.push(index);
            }
        }
        due
    }

    #[test]
    fn memory_is_given_back_once_a_second_after_a_long_queue_has_gone() {
        let mut kib = [0; 40];
        kib[..5].fill(10_000);
        assert_eq!(due(&kib), [15]);
    }

    #[test]
    fn a_queue_that_grows_again_and_a_short_one_keep_theirs() {
        assert_eq!(due(&[10_000, 0, 0, 0, 0, 0, 0].repeat(6)), [0; 0]);
        assert_eq!(due(&[3_000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), [0; 0]);
    }
}
