//! Send times of a client: the load generator's arrivals, limited to what a client that must account for
//! every query can sustain.

use std::time::{Duration, Instant};

use loadgen::{
    Arrivals,
    pacer::{Pacer, Partition},
};

/// Limit of the queries in flight, as time at the offered rate: several latency objectives. Beyond it the
/// machine has become slower than during the capacity measurement, and further queries would only wait in
/// sockets.
const MAX_BACKLOG: Duration = Duration::from_secs(2);

/// Minimum of that limit, for low rates.
const MIN_IN_FLIGHT: f64 = 64.0;

/// Delay after which a client skips its missed queries: the delay is then not the frontend's.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// Computes the send time of each query.
pub struct SendSchedule {
    start: Instant,
    pacer: Pacer,
    max_in_flight: usize,
}

impl SendSchedule {
    /// Starts at `now`, with at most `max_in_flight` queries in flight.
    pub fn new(arrivals: &Arrivals, max_in_flight: usize, now: Instant) -> SendSchedule {
        let partition = Partition {
            client: 0,
            clients: 1,
        };
        let bound = match arrivals {
            Arrivals::Constant { rate } => {
                (rate * MAX_BACKLOG.as_secs_f64()).max(MIN_IN_FLIGHT) as usize
            }
            _ => usize::MAX,
        };
        SendSchedule {
            start: now,
            pacer: Pacer::new(arrivals, 0, partition),
            max_in_flight: max_in_flight.min(bound),
        }
    }

    /// Returns the next send time; `None` while `in_flight` has reached its limit.
    pub fn next(&mut self, now: Instant, in_flight: usize) -> Option<Instant> {
        if in_flight >= self.max_in_flight {
            return None;
        }
        let since = now - self.start;
        let mut next = self.pacer.next(since, in_flight)?;
        if since.saturating_sub(next) > MAX_DELAY {
            while next < since {
                self.pacer.on_sent();
                next = self.pacer.next(since, in_flight)?;
            }
        }
        Some(self.start + next)
    }

    /// Records that a query was sent.
    pub fn on_sent(&mut self) {
        self.pacer.on_sent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_skipped_only_after_a_long_delay() {
        let start = Instant::now();
        let mut schedule = SendSchedule::new(&Arrivals::Constant { rate: 10.0 }, usize::MAX, start);
        let later = start + Duration::from_millis(500);
        let mut sent = 0;
        while schedule.next(later, 63).is_some_and(|at| at <= later) {
            schedule.on_sent();
            sent += 1;
        }
        assert_eq!(sent, 6);
        assert_eq!(schedule.next(later, 64), None);
        let much_later = start + Duration::from_secs(60);
        assert_eq!(schedule.next(much_later, 0), Some(much_later));
    }

    #[test]
    fn a_full_window_waits_for_an_answer() {
        let now = Instant::now();
        let mut schedule = SendSchedule::new(&Arrivals::Closed { in_flight: 2 }, usize::MAX, now);
        assert_eq!(schedule.next(now, 1), Some(now));
        schedule.on_sent();
        assert_eq!(schedule.next(now, 2), None);
        let mut one_at_a_time = SendSchedule::new(&Arrivals::Constant { rate: 10.0 }, 1, now);
        assert_eq!(one_at_a_time.next(now, 0), Some(now));
        assert_eq!(one_at_a_time.next(now, 1), None);
    }
}
