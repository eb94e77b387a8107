//! When to give memory back: the allocator keeps what long queues took when they are gone, tens of MiB of it.

use std::time::Duration;

use scheduler::{Load, Now};

/// How often to look.
const EVERY: Duration = Duration::from_millis(100);

/// Queues that were no longer than this left nothing worth the while.
const WORTH: usize = 4 << 20;

/// What a query takes besides its input, in bytes, at the least.
const QUERY: usize = 512;

/// Queues must be short for so long: memory that is wanted again at once had better stay.
const QUIET: Duration = Duration::from_secs(1);

/// Watches how long queues are.
#[derive(Debug, Default)]
pub(super) struct Slack {
    looked: Now,
    /// Bytes that waited at most since memory was given back.
    most: usize,
    /// Since when little waits.
    quiet: Option<Now>,
}

impl Slack {
    /// Whether it is time to give memory back, with these queues.
    pub(super) fn is_due(&mut self, loads: impl Iterator<Item = Load>, now: Now) -> bool {
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
            *self = Slack {
                looked: now,
                ..Slack::default()
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
        let mut slack = Slack::default();
        let mut due = Vec::new();
        for (index, kib) in kib.iter().enumerate() {
            let load = Load {
                bytes: kib << 10,
                ..Load::default()
            };
            let now = EVERY * (index as u32 + 1);
            if slack.is_due([load].into_iter(), now) {
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
