//! When the next query is intended: the one place that knows how queries arrive. It is told the time.

use std::{iter::Peekable, sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng};
use rand_distr::Exp1;
use rand_xoshiro::Xoshiro256PlusPlus;

/// How queries arrive, over all clients.
#[derive(Clone, Debug)]
pub enum Pace {
    /// The next one when an answer has come: a closed loop.
    Closed {
        /// Queries in flight.
        in_flight: usize,
    },
    /// The same, until each input has been sent once.
    Once {
        /// Queries in flight.
        in_flight: usize,
    },
    /// At random: the gaps are independent and exponential.
    Poisson {
        /// Queries a second, in the mean.
        rate: f64,
        /// The same seed gives the same arrivals, whatever the number of clients.
        seed: u64,
    },
    /// Evenly spaced, the first one at once.
    Constant {
        /// Queries a second.
        rate: f64,
    },
    /// At these times since the beginning, ascending.
    Trace(Arc<[Duration]>),
}

impl Pace {
    /// Queries in flight, where that is what is asked for: in a closed loop.
    pub fn in_flight(&self) -> Option<usize> {
        match self {
            Pace::Closed { in_flight } | Pace::Once { in_flight } => Some(*in_flight),
            Pace::Poisson { .. } | Pace::Constant { .. } | Pace::Trace(_) => None,
        }
    }

    /// True if each input is sent once.
    pub fn is_once(&self) -> bool {
        matches!(self, Pace::Once { .. })
    }

    /// The times at which queries are intended, since the beginning, in an open loop; endless but for a trace.
    fn arrivals(&self) -> Box<dyn Iterator<Item = Duration> + Send> {
        match self.clone() {
            Pace::Closed { .. } | Pace::Once { .. } => Box::new(std::iter::empty()),
            Pace::Constant { rate } => {
                Box::new((0_u64..).map(move |n| Duration::from_secs_f64(n as f64 / rate)))
            }
            Pace::Poisson { rate, seed } => {
                let gaps = Xoshiro256PlusPlus::seed_from_u64(seed).sample_iter::<f64, _>(Exp1);
                Box::new(gaps.scan(0.0, move |at, gap| {
                    *at += gap / rate;
                    Some(Duration::from_secs_f64(*at))
                }))
            }
            Pace::Trace(times) => Box::new((0..times.len()).map(move |n| times[n])),
        }
    }
}

/// The part of it that is one client's.
pub struct Pacer(Rule);

enum Rule {
    Closed {
        in_flight: usize,
        /// How many there are to send; `None`: no end.
        left: Option<usize>,
    },
    Open(Peekable<Box<dyn Iterator<Item = Duration> + Send>>),
}

impl Pacer {
    /// Client number `client` of `clients` takes every so-many-th arrival of an open loop, so that all of them together make
    /// the asked process; in a closed loop, an even share of what is in flight, and of the `inputs` to be sent once.
    pub fn new(pace: &Pace, client: usize, clients: usize, inputs: usize) -> Pacer {
        let closed = |in_flight: usize, left| Rule::Closed {
            in_flight: in_flight / clients + usize::from(client < in_flight % clients),
            left,
        };
        Pacer(match pace {
            Pace::Closed { in_flight } => closed(*in_flight, None),
            Pace::Once { in_flight } => {
                let first = |client: usize| client * inputs / clients;
                closed(*in_flight, Some(first(client + 1) - first(client)))
            }
            open => {
                let mine = open.arrivals().skip(client).step_by(clients);
                let mine: Box<dyn Iterator<Item = _> + Send> = Box::new(mine);
                Rule::Open(mine.peekable())
            }
        })
    }

    /// When the next query is intended, since the beginning: not after `now` if it is due. `None` if there is none, or none
    /// before an answer comes.
    pub fn next(&mut self, now: Duration, in_flight: usize) -> Option<Duration> {
        match &mut self.0 {
            Rule::Closed {
                in_flight: most,
                left,
            } => (in_flight < *most && *left != Some(0)).then_some(now),
            Rule::Open(arrivals) => arrivals.peek().copied(),
        }
    }

    /// True if it is to send each input once.
    pub fn is_once(&self) -> bool {
        matches!(&self.0, Rule::Closed { left: Some(_), .. })
    }

    /// That query has been sent.
    pub fn sent(&mut self) {
        match &mut self.0 {
            Rule::Closed { left, .. } => *left = left.map(|left| left - 1),
            Rule::Open(arrivals) => drop(arrivals.next()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Its first arrivals, before `end`.
    fn arrivals(pace: &Pace, client: usize, clients: usize, end: Duration) -> Vec<Duration> {
        let mut pacer = Pacer::new(pace, client, clients, 0);
        let next = || {
            let at = pacer.next(Duration::ZERO, 0).filter(|at| *at < end)?;
            pacer.sent();
            Some(at)
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_from_the_first_moment_and_do_not_drift() {
        let pace = Pace::Constant { rate: 3.0 };
        let hour = arrivals(&pace, 0, 1, Duration::from_secs(3600));
        assert_eq!(hour.len(), 3 * 3600);
        assert_eq!(hour[0], Duration::ZERO);
        assert_eq!(hour[3 * 3599], Duration::from_secs(3599));
    }

    #[test]
    fn the_gaps_of_poisson_arrivals_are_exponential_and_independent() {
        const RATE: f64 = 1000.0;
        let pace = Pace::Poisson {
            rate: RATE,
            seed: 7,
        };
        let times = arrivals(&pace, 0, 1, Duration::from_secs(100));
        // 100,000 in the mean; the standard deviation of the count is 316, five of which one seed in two million exceeds.
        assert!(times.len().abs_diff(100_000) < 1581, "{}", times.len());
        let gaps: Vec<f64> = times
            .windows(2)
            .map(|two| (two[1] - two[0]).as_secs_f64() * RATE)
            .collect();
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        // Kolmogorov and Smirnov: the largest distance from the exponential distribution, at one in a thousand.
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
    fn a_closed_loop_is_due_whenever_fewer_than_its_share_are_in_flight() {
        let now = Duration::from_secs(5);
        let mut clients =
            [0, 1].map(|client| Pacer::new(&Pace::Closed { in_flight: 5 }, client, 2, 0));
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
        fn the_arrivals_of_all_clients_together_are_those_of_one(
            clients in 1..7_usize,
            seed: u64,
            rate in 1.0..1e4_f64,
            trace in prop::collection::vec(0..1000_u64, 0..100),
        ) {
            let mut trace: Vec<_> = trace.into_iter().map(Duration::from_millis).collect();
            trace.sort();
            let end = Duration::from_millis(500);
            for pace in [Pace::Poisson { rate, seed }, Pace::Constant { rate }, Pace::Trace(trace.into())] {
                let parts = (0..clients).map(|client| arrivals(&pace, client, clients, end));
                let mut together: Vec<_> = parts.flatten().collect();
                together.sort();
                prop_assert_eq!(together, arrivals(&pace, 0, 1, end));
            }
        }

        #[test]
        fn every_input_is_some_clients_to_send_once(clients in 1..7_usize, inputs in 0..100_usize) {
            let sent = |client| {
                let mut pacer = Pacer::new(&Pace::Once { in_flight: 20 }, client, clients, inputs);
                std::iter::from_fn(|| {
                    pacer.next(Duration::ZERO, 0)?;
                    pacer.sent();
                    Some(())
                })
                .count()
            };
            prop_assert_eq!((0..clients).map(sent).sum::<usize>(), inputs);
        }
    }
}
