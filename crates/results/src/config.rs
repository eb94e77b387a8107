//! What tells one combination of a sweep from the others.

use std::fmt;

use serde::Serialize;

/// The combination that is measured, as it was asked for. The order is that of the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Config {
    /// Replicas.
    pub replicas: usize,
    /// Cores that each may use.
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
