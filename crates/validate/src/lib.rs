//! Simulations with a known truth. They count how often the promises of a measurement are kept.

pub mod intervals;
pub mod observe;
pub mod parallel;
pub mod promises;
pub mod searches;
pub mod server;
pub mod truth;
