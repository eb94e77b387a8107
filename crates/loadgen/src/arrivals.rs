//! How queries arrive: the one type for it, from the command line to the result file.

use std::{sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng};
use rand_distr::Exp1;
use rand_xoshiro::Xoshiro256PlusPlus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How queries arrive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// The next one when an answer has come, with so many in flight.
    Closed {
        /// Queries in flight, over all clients.
        in_flight: usize,
    },
    /// At random, on average `rate` a second.
    Poisson {
        /// Queries a second.
        rate: f64,
        /// The share of the throughput that this is, where it was chosen as one.
        share: Option<f64>,
    },
    /// Evenly spaced.
    Constant {
        /// Queries a second.
        rate: f64,
    },
    /// At the times in a file.
    Trace {
        /// The file.
        file: String,
        /// Queries in it; zero in results from before this was counted.
        #[serde(default)]
        arrivals: usize,
        /// Seconds from its first arrival to just after its last one.
        #[serde(default)]
        seconds: f64,
        /// Queries at its end that were not to be sent, because the trace is longer than the load was to be.
        #[serde(default)]
        left_out: usize,
        /// Those times, since the first one, ascending. They are not in a result file: read from there, this is empty.
        #[serde(skip)]
        times: Arc<[Duration]>,
    },
}

impl Arrivals {
    /// Random arrivals, `rate` a second in the mean.
    pub fn poisson(rate: f64) -> Arrivals {
        Arrivals::Poisson { rate, share: None }
    }

    /// Arrivals at these times since the beginning, ascending, of no file.
    pub fn at_times(times: Arc<[Duration]>) -> Arrivals {
        Arrivals::Trace {
            file: String::new(),
            arrivals: times.len(),
            seconds: times.last().map_or(0.0, Duration::as_secs_f64),
            left_out: 0,
            times,
        }
    }

    /// What this arrival process is called.
    pub fn name(&self) -> &'static str {
        match self {
            Arrivals::Closed { .. } => "closed",
            Arrivals::Poisson { .. } => "poisson",
            Arrivals::Constant { .. } => "constant",
            Arrivals::Trace { .. } => "trace",
        }
    }

    /// Queries in flight, where that is what is asked for: in a closed loop.
    pub fn in_flight(&self) -> Option<usize> {
        match self {
            Arrivals::Closed { in_flight } => Some(*in_flight),
            Arrivals::Poisson { .. } | Arrivals::Constant { .. } | Arrivals::Trace { .. } => None,
        }
    }

    /// The times at which queries are intended, since the beginning, in an open loop; endless but for a trace. Poisson
    /// gaps are independent and exponential; constant arrivals begin at once.
    pub(crate) fn times(&self, seed: u64) -> Box<dyn Iterator<Item = Duration> + Send> {
        match self {
            Arrivals::Closed { .. } => Box::new(std::iter::empty()),
            &Arrivals::Constant { rate } => {
                Box::new((0_u64..).map(move |n| Duration::from_secs_f64(n as f64 / rate)))
            }
            &Arrivals::Poisson { rate, .. } => {
                let gaps = Xoshiro256PlusPlus::seed_from_u64(seed).sample_iter::<f64, _>(Exp1);
                Box::new(gaps.scan(0.0, move |at, gap| {
                    *at += gap / rate;
                    Some(Duration::from_secs_f64(*at))
                }))
            }
            Arrivals::Trace { times, .. } => {
                let times = times.clone();
                Box::new((0..times.len()).map(move |n| times[n]))
            }
        }
    }
}
