//! True figures of a simulated server, by theory or from a very long run.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::server::{Server, Service};

/// Percentiles of the latency of a server, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// Returns the true percentiles; those of an M/M/1 queue by theory, others from a run of `queries`
/// queries.
pub fn percentiles(server: &Server, queries: u64) -> Truth {
    if server.service == Service::Exponential && server.stall_period.is_none() {
        let spare = server.capacity - server.rate;
        let at = |quantile: f64| -(1.0 - quantile).ln() / spare * 1e3;
        return Truth {
            p50: at(0.5),
            p99: at(0.99),
        };
    }
    let mut latencies = latencies(server, queries);
    let mut at = |quantile: f64| {
        let rank = (latencies.len() as f64 * quantile) as usize;
        let (_, at, _) = latencies.select_nth_unstable_by(rank, f32::total_cmp);
        f64::from(*at) * 1e3
    };
    Truth {
        p50: at(0.5),
        p99: at(0.99),
    }
}

/// Returns the share of queries above `seconds`, from a run of `queries` queries; by theory for an
/// M/M/1 queue.
pub fn share_above(server: &Server, seconds: f64, queries: u64) -> f64 {
    if server.service == Service::Exponential && server.stall_period.is_none() {
        return (-(server.capacity - server.rate) * seconds).exp().min(1.0);
    }
    let latencies = latencies(server, queries);
    let above = latencies
        .iter()
        .filter(|latency| f64::from(**latency) > seconds);
    above.count() as f64 / latencies.len() as f64
}

/// Returns the latencies of a long run in seconds, without its first tenth.
fn latencies(server: &Server, queries: u64) -> Vec<f32> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(99);
    let settled = queries as f64 / server.rate / 10.0;
    let mut all = Vec::with_capacity(queries as usize);
    server.run(&mut random, 11.0 * settled, |query| {
        if query.at > settled {
            all.push(query.latency as f32);
        }
    });
    all
}
