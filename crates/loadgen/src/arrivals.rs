//! Arrival processes: one type from the command line to the result file.

use std::{sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng};
use rand_distr::Exp1;
use rand_xoshiro::Xoshiro256PlusPlus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Arrival process of the queries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Closed loop: the next query is sent when an answer arrives.
    Closed {
        /// Number of queries in flight, over all clients.
        in_flight: usize,
    },
    /// Open loop with exponentially distributed gaps.
    Poisson {
        /// Mean rate, in queries a second.
        rate: f64,
        /// Rate as a share of the measured throughput, if it was chosen as one.
        share: Option<f64>,
    },
    /// Open loop with equal gaps.
    Constant {
        /// Rate, in queries a second.
        rate: f64,
    },
    /// Open loop with the times of a file.
    Trace {
        /// Path of the file.
        file: String,
        /// Number of queries in the file; zero in older results, which do not have it.
        #[serde(default)]
        arrivals: usize,
        /// Time from the first arrival to just after the last one, in seconds.
        #[serde(default)]
        seconds: f64,
        /// Number of queries at the end of the file that are not sent, because the trace is longer
        /// than the load.
        #[serde(default)]
        left_out: usize,
        /// Arrival times since the first one, ascending. Result files do not contain them.
        #[serde(skip)]
        times: Arc<[Duration]>,
    },
}

impl Arrivals {
    /// Creates Poisson arrivals with a mean of `rate` queries a second.
    pub fn poisson(rate: f64) -> Arrivals {
        Arrivals::Poisson { rate, share: None }
    }

    /// Creates arrivals at these times since the beginning, ascending, without a file.
    pub fn at_times(times: Arc<[Duration]>) -> Arrivals {
        Arrivals::Trace {
            file: String::new(),
            arrivals: times.len(),
            seconds: times.last().map_or(0.0, Duration::as_secs_f64),
            left_out: 0,
            times,
        }
    }

    /// Returns the name of the arrival process.
    pub fn name(&self) -> &'static str {
        match self {
            Arrivals::Closed { .. } => "closed",
            Arrivals::Poisson { .. } => "poisson",
            Arrivals::Constant { .. } => "constant",
            Arrivals::Trace { .. } => "trace",
        }
    }

    /// Returns the number of queries in flight of a closed loop; `None` for an open one.
    pub fn in_flight(&self) -> Option<usize> {
        match self {
            Arrivals::Closed { in_flight } => Some(*in_flight),
            Arrivals::Poisson { .. } | Arrivals::Constant { .. } | Arrivals::Trace { .. } => None,
        }
    }

    /// Returns the intended send times of an open loop, since the beginning; only a trace has an
    /// end. Poisson gaps are independent and exponential; constant arrivals begin at zero.
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
