//! Intended send times of one client. The caller passes the time.

use std::{iter::Peekable, time::Duration};

use crate::arrivals::Arrivals;

/// One client's partition of the arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Index of the client, from 0.
    pub client: usize,
    /// Number of clients of the load.
    pub clients: usize,
}

/// Iterator over the intended send times of one client.
pub struct Pacer(Pace);

enum Pace {
    Closed {
        in_flight: usize,
        /// Number of queries left to send; `None` without a limit.
        left: Option<usize>,
    },
    Open(Peekable<Box<dyn Iterator<Item = Duration> + Send>>),
}

impl Pacer {
    /// Creates the pacer of one client of `n`: it takes every n-th arrival of an open loop, so that
    /// all clients together send the whole process, or an even share of a closed loop's queries in
    /// flight. The same seed gives the same arrivals, whatever the number of clients.
    pub fn new(arrivals: &Arrivals, seed: u64, part: Partition) -> Pacer {
        Pacer(match arrivals.in_flight() {
            Some(in_flight) => part.closed(in_flight, None),
            None => {
                let mine = arrivals.times(seed).skip(part.client).step_by(part.clients);
                let mine: Box<dyn Iterator<Item = _> + Send> = Box::new(mine);
                Pace::Open(mine.peekable())
            }
        })
    }

    /// Creates a closed loop that sends an even share of `inputs` inputs once.
    pub fn send_once(in_flight: usize, inputs: usize, part: Partition) -> Pacer {
        let first = |client: usize| client * inputs / part.clients;
        let left = first(part.client + 1) - first(part.client);
        Pacer(part.closed(in_flight, Some(left)))
    }

    /// Returns the intended time of the next query, since the beginning; it is due if this is not
    /// after `now`. `None` if there is no next query, or none before an answer arrives.
    pub fn next(&mut self, now: Duration, in_flight: usize) -> Option<Duration> {
        match &mut self.0 {
            Pace::Closed {
                in_flight: most,
                left,
            } => (in_flight < *most && *left != Some(0)).then_some(now),
            Pace::Open(arrivals) => arrivals.peek().copied(),
        }
    }

    /// Returns true if the pacer sends each input once.
    pub fn sends_once(&self) -> bool {
        matches!(&self.0, Pace::Closed { left: Some(_), .. })
    }

    /// Advances past the next query, which has been sent.
    pub fn on_sent(&mut self) {
        match &mut self.0 {
            Pace::Closed { left, .. } => *left = left.map(|left| left - 1),
            Pace::Open(arrivals) => drop(arrivals.next()),
        }
    }
}

impl Partition {
    /// Returns an even share of the queries in flight.
    fn closed(self, in_flight: usize, left: Option<usize>) -> Pace {
        let extra = usize::from(self.client < in_flight % self.clients);
        Pace::Closed {
            in_flight: in_flight / self.clients + extra,
            left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEED: u64 = 7;

    /// Returns the client's arrivals before `end`.
    fn first_arrivals(
        arrivals: &Arrivals,
        client: usize,
        clients: usize,
        end: Duration,
    ) -> Vec<Duration> {
        let mut pacer = Pacer::new(arrivals, SEED, Partition { client, clients });
        let next = || {
            let at = pacer.next(Duration::ZERO, 0).filter(|at| *at < end)?;
            pacer.on_sent();
            Some(at)
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_and_do_not_drift() {
        let constant = Arrivals::Constant { rate: 3.0 };
        let hour = first_arrivals(&constant, 0, 1, Duration::from_secs(3600));
        assert_eq!(hour.len(), 3 * 3600);
        assert_eq!(hour[0], Duration::ZERO);
        assert_eq!(hour[3 * 3599], Duration::from_secs(3599));
    }

    #[test]
    fn gaps_of_poisson_arrivals_are_exponential_and_independent() {
        const RATE: f64 = 1000.0;
        let poisson = Arrivals::poisson(RATE);
        let times = first_arrivals(&poisson, 0, 1, Duration::from_secs(100));
        // The count has mean 100,000 and standard deviation 316; one seed in two million exceeds
        // five deviations.
        assert!(times.len().abs_diff(100_000) < 1581, "{}", times.len());
        let gaps: Vec<f64> = times
            .windows(2)
            .map(|two| (two[1] - two[0]).as_secs_f64() * RATE)
            .collect();
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        // Kolmogorov-Smirnov test against the exponential distribution, at a significance of 0.001.
        let mut sorted = gaps.clone();
        sorted.sort_by(f64::total_cmp);
        let distance = |(rank, gap): (usize, &f64)| (rank as f64 / n - (1.0 - (-gap).exp())).abs();
        let distance = sorted.iter().enumerate().map(distance).fold(0.0, f64::max);
        assert!(distance < 1.95 / n.sqrt(), "{distance}");
        let products = gaps.windows(2).map(|two| (two[0] - mean) * (two[1] - mean));
        let correlation = products.sum::<f64>() / n;
        assert!(correlation.abs() < 5.0 / n.sqrt(), "{correlation}");
    }

    #[test]
    fn closed_loop_is_due_below_its_queries_in_flight() {
        let now = Duration::from_secs(5);
        let closed = Arrivals::Closed { in_flight: 5 };
        let part = |client| Partition { client, clients: 2 };
        let mut clients = [0, 1].map(|client| Pacer::new(&closed, 7, part(client)));
        let shares = clients.each_mut().map(|pacer| {
            (0..)
                .find(|&in_flight| pacer.next(now, in_flight).is_none())
                .unwrap()
        });
        assert_eq!(shares, [3, 2]);
        assert_eq!(clients[0].next(now, 0), Some(now));
    }

    proptest! {
        #[test]
        fn arrivals_of_all_clients_together_are_those_of_one(
            clients in 1..7_usize,
            rate in 1.0..1e4_f64,
            trace in prop::collection::vec(0..1000_u64, 0..100),
        ) {
            let mut trace: Vec<_> = trace.into_iter().map(Duration::from_millis).collect();
            trace.sort();
            let end = Duration::from_millis(500);
            let all = [Arrivals::poisson(rate), Arrivals::Constant { rate }, Arrivals::at_times(trace.into())];
            for arrivals in all {
                let parts = (0..clients).map(|client| first_arrivals(&arrivals, client, clients, end));
                let mut together: Vec<_> = parts.flatten().collect();
                together.sort();
                prop_assert_eq!(together, first_arrivals(&arrivals, 0, 1, end));
            }
        }

        #[test]
        fn clients_together_send_every_input_once(clients in 1..7_usize, inputs in 0..100_usize) {
            let sent = |client| {
                let mut pacer = Pacer::send_once(20, inputs, Partition { client, clients });
                std::iter::from_fn(|| {
                    pacer.next(Duration::ZERO, 0)?;
                    pacer.on_sent();
                    Some(())
                })
                .count()
            };
            prop_assert_eq!((0..clients).map(sent).sum::<usize>(), inputs);
        }
    }
}
