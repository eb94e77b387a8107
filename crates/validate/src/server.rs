//! Simulated servers: a queue with Poisson arrivals, of which the distribution of the latency is known.

use std::collections::VecDeque;

use rand::RngExt;
use rand_distr::Exp1;
use rand_xoshiro::Xoshiro256PlusPlus;

/// Largest batch of [`Service::Batch`].
const BATCH: usize = 8;

/// Length of a stall in seconds.
const STALL: f64 = 1.0;

/// Distribution of the service time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Constant (M/D/1).
    Constant,
    /// Exponential (M/M/1).
    Exponential,
    /// Constant for a batch of up to eight queries; the batch takes all that are queued when the
    /// server becomes idle.
    Batch,
}

/// A server and the load on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Server {
    /// Distribution of the service time.
    pub service: Service,
    /// Queries that it computes in a second without a stall, if its batches are full.
    pub capacity: f64,
    /// Queries that arrive in a second.
    pub rate: f64,
    /// Mean time from the start of one stall of a second to the start of the next; the working
    /// time between two is exponential. `None` for a server without stalls.
    pub stall_period: Option<f64>,
}

/// A query of a simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulatedQuery {
    /// Arrival in seconds.
    pub at: f64,
    /// Time until the answer, in seconds.
    pub latency: f64,
}

/// Stalls of a server, in the order of time.
struct Stalls {
    /// Mean working time between two; `None` without stalls.
    gap: Option<f64>,
    begins: f64,
}

impl Service {
    /// Returns the name in Kendall's notation.
    pub fn name(self) -> &'static str {
        match self {
            Service::Constant => "M/D/1",
            Service::Exponential => "M/M/1",
            Service::Batch => "batches of 8",
        }
    }
}

impl Server {
    /// Creates a server with this load, as a share of the time that it can work.
    pub fn loaded(service: Service, rate: f64, load: f64) -> Server {
        Server {
            service,
            capacity: rate / load,
            rate,
            stall_period: None,
        }
    }

    /// Adds stalls with this mean period in seconds, and makes the server faster, so that the load
    /// remains the same.
    pub fn with_stalls(self, period: f64) -> Server {
        Server {
            capacity: self.capacity * period / (period - STALL),
            stall_period: Some(period),
            ..self
        }
    }

    /// Returns a time in seconds after which an empty server is in its steady state.
    pub fn settling(&self) -> f64 {
        let available = self.stall_period.map_or(1.0, |period| 1.0 - STALL / period);
        let load = (self.rate / self.capacity / available).min(0.95);
        let batch = if self.service == Service::Batch {
            8.0
        } else {
            1.0
        };
        // Ten relaxation times of an M/M/1 queue.
        let relaxation = batch / self.capacity / (1.0 - load.sqrt()).powi(2);
        10.0 * relaxation + self.stall_period.map_or(0.0, |period| 3.0 * period)
    }

    /// Simulates the server from an empty queue until queries arrive after `until` seconds, and
    /// passes each query to `each` in the order of arrival. Returns the starts of the stalls.
    pub fn run(
        &self,
        random: &mut Xoshiro256PlusPlus,
        until: f64,
        mut each: impl FnMut(SimulatedQuery),
    ) -> Vec<f64> {
        let mut stalls = Stalls::new(self.stall_period, random);
        let mut begun = Vec::new();
        let mut idle_from = 0.0;
        let mut at = random.sample::<f64, _>(Exp1) / self.rate;
        let mut queue = VecDeque::with_capacity(BATCH);
        while at < until {
            // The first query of a batch arrives; the others are queued when the server is idle.
            let start = stalls.working_from(f64::max(at, idle_from), random, &mut begun);
            queue.push_back(at);
            at += random.sample::<f64, _>(Exp1) / self.rate;
            let most = if self.service == Service::Batch {
                BATCH
            } else {
                1
            };
            while queue.len() < most && at <= start {
                queue.push_back(at);
                at += random.sample::<f64, _>(Exp1) / self.rate;
            }
            let time = match self.service {
                Service::Constant => 1.0 / self.capacity,
                Service::Exponential => random.sample::<f64, _>(Exp1) / self.capacity,
                Service::Batch => BATCH as f64 / self.capacity,
            };
            idle_from = stalls.done(start, time, random, &mut begun);
            for at in queue.drain(..) {
                each(SimulatedQuery {
                    at,
                    latency: idle_from - at,
                });
            }
        }
        begun
    }
}

impl Stalls {
    fn new(period: Option<f64>, random: &mut Xoshiro256PlusPlus) -> Stalls {
        let gap = period.map(|period| period - STALL);
        let begins = gap.map_or(f64::INFINITY, |gap| gap * random.sample::<f64, _>(Exp1));
        Stalls { gap, begins }
    }

    /// Moves on to the next stall.
    fn pass(&mut self, random: &mut Xoshiro256PlusPlus, begun: &mut Vec<f64>) {
        begun.push(self.begins);
        let gap = self.gap.unwrap_or(f64::INFINITY);
        self.begins += STALL + gap * random.random_range(0.5..1.5);
    }

    /// Returns the first time from `at` on when the server works.
    fn working_from(
        &mut self,
        mut at: f64,
        random: &mut Xoshiro256PlusPlus,
        begun: &mut Vec<f64>,
    ) -> f64 {
        while self.begins <= at {
            at = at.max(self.begins + STALL);
            self.pass(random, begun);
        }
        at
    }

    /// Returns when work of `time` seconds that starts at `start` is done.
    fn done(
        &mut self,
        start: f64,
        time: f64,
        random: &mut Xoshiro256PlusPlus,
        begun: &mut Vec<f64>,
    ) -> f64 {
        let mut end = start + time;
        while self.begins < end {
            end += STALL;
            self.pass(random, begun);
        }
        end
    }
}
