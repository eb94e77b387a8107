//! Chaos and soak tests over real processes. They account for every query: each must end exactly once,
//! and each answer must be correct.
//!
//! - [`ledger`]: counts how queries ended; [`active_faults`]: the faults at that time; [`workload`]:
//!   inputs and their correct answers.
//! - [`verifying_client`]: a client over a connection of `loadgen`; [`send_schedule`]: the times at which
//!   it sends; [`load`] and [`run_state`]: all clients, at a fraction of the capacity; [`disconnect`]: a
//!   client that disconnects before its answers arrive.
//! - [`models`], [`process`], [`cluster`]: frontend and model servers.
//! - [`schedule`] and [`fault_injector`]: the faults of a run, and their injection; [`samples`]: memory,
//!   file descriptors and threads of processes.
//! - [`progress`], [`report`]: output on the terminal.

#![allow(
    clippy::missing_errors_doc,
    reason = "the library of two programs, without other callers"
)]

pub mod active_faults;
pub mod cluster;
pub mod disconnect;
pub mod fault_injector;
pub mod ledger;
pub mod load;
pub mod models;
pub mod process;
pub mod progress;
pub mod report;
pub mod run_state;
pub mod samples;
pub mod schedule;
pub mod send_schedule;
pub mod verifying_client;
pub mod workload;
