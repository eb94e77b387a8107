//! A combination of the sweep.

use std::fmt;

use serde::Serialize;

/// A requested combination of the sweep. The order is that of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Config {
    /// Number of replicas.
    pub replicas: usize,
    /// Cores of each replica.
    pub cpus_per_replica: usize,
    /// Maximum batch size.
    pub batch_size: usize,
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config {
            replicas,
            cpus_per_replica,
            batch_size,
        } = self;
        write!(
            f,
            "replicas {replicas}, CPUs {cpus_per_replica}, batch {batch_size}"
        )
    }
}
