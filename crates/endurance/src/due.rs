//! When a client asks its next query: the load generator's arrivals, as far as a client that must account for every
//! query keeps up with them.

use std::time::{Duration, Instant};

use loadgen::{
    Arrivals,
    pacer::{Pacer, Part},
};

/// Queries of so long a time may be open: several objectives. With more the machine does not keep up at all, because
/// others took it after the capacity was found, and the queries would only wait in sockets.
const BEHIND: Duration = Duration::from_secs(2);

/// The least that may be open, however low the rate.
const FEW: f64 = 64.0;

/// A client that is so late leaves out what it owes: it is not the frontend that is measured then.
const LATEST: Duration = Duration::from_secs(1);

/// Says when the next query is due.
pub struct Due {
    began: Instant,
    pacer: Pacer,
    most_open: usize,
}

impl Due {
    /// Begins at `now`, with no more than `most_open` queries open at any time.
    pub fn new(arrivals: &Arrivals, most_open: usize, now: Instant) -> Due {
        let alone = Part {
            client: 0,
            clients: 1,
        };
        let bound = match arrivals {
            Arrivals::Constant { rate } => (rate * BEHIND.as_secs_f64()).max(FEW) as usize,
            _ => usize::MAX,
        };
        Due {
            began: now,
            pacer: Pacer::new(arrivals, 0, alone),
            most_open: most_open.min(bound),
        }
    }

    /// When the next query is due, with so many open; `None`: not before an answer has come.
    pub fn next(&mut self, now: Instant, open: usize) -> Option<Instant> {
        if open >= self.most_open {
            return None;
        }
        let since = now - self.began;
        let mut next = self.pacer.next(since, open)?;
        if since.saturating_sub(next) > LATEST {
            while next < since {
                self.pacer.sent();
                next = self.pacer.next(since, open)?;
            }
        }
        Some(self.began + next)
    }

    /// A query was asked.
    pub fn asked(&mut self) {
        self.pacer.sent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_survives_a_short_delay_but_not_a_long_one() {
        let began = Instant::now();
        let mut due = Due::new(&Arrivals::Constant { rate: 10.0 }, usize::MAX, began);
        let later = began + Duration::from_millis(500);
        let mut asked = 0;
        while due.next(later, 63).is_some_and(|at| at <= later) {
            due.asked();
            asked += 1;
        }
        assert_eq!(asked, 6);
        assert_eq!(due.next(later, 64), None);
        let much_later = began + Duration::from_secs(60);
        assert_eq!(due.next(much_later, 0), Some(much_later));
    }

    #[test]
    fn a_full_window_waits_for_an_answer() {
        let now = Instant::now();
        let mut due = Due::new(&Arrivals::Closed { in_flight: 2 }, usize::MAX, now);
        assert_eq!(due.next(now, 1), Some(now));
        due.asked();
        assert_eq!(due.next(now, 2), None);
        let mut one_at_a_time = Due::new(&Arrivals::Constant { rate: 10.0 }, 1, now);
        assert_eq!(one_at_a_time.next(now, 0), Some(now));
        assert_eq!(one_at_a_time.next(now, 1), None);
    }
}
