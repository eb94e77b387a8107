//! The scheduler under load on a virtual clock, with replicas of known service times.
//!
//! The same [`scheduler::Scheduler`] that the frontend runs decides; queries arrive as a Poisson
//! process, and batches end after times drawn from a [`Law`]. Nothing else takes time: no network,
//! no other process, no late wake-up. So the goodput of a [`SimulatedCluster`] is the reference for
//! that of a frontend under the same load. A run is determined by its seed.

mod cluster;
mod random;

pub use cluster::{Law, Outcome, SimulatedCluster, Stream};
pub use random::Random;
