//! Load generator for prediction servers.
//!
//! [`run()`] executes one [`Load`]: client threads send queries to the application at a [`Target`]
//! and record how each query ended. It returns a [`LoadResult`] with counts, latency histograms and
//! throughput over time. `examples/null.rs` is a complete program.
//!
//! The arrival process ([`Arrivals`]) is a closed or an open loop. A closed loop keeps a fixed
//! number of queries in flight. An open loop sends each query at its intended time, however many
//! are in flight, and measures latency from the intended time, so a late client does not make the
//! server look faster.
//!
//! A load runs in three stages:
//!
//! 1. Warm-up: queries are sent, but counted separately. It ends as [`WindowOpening`] specifies,
//!    for instance when [`steady`] detects a steady throughput.
//! 2. Measured window ([`stats::Span`]): throughput and latency are computed from it.
//! 3. Drain: clients send nothing more and wait for the missing answers. If [`overload`] detects an
//!    offered load above capacity, the drain is short and the remaining queries are cancelled.
//!    [`wait_until_drained`] then waits until the server's queue no longer contains them.
//!
//! Further modules and types:
//!
//! - [`pacer`] computes the send times of one client; [`trace`] reads arrival times from a file.
//! - [`client_state`] is the state machine of one client, without sockets or clock.
//! - [`Client`] connects to a server: [`NativeClient`] over ZeroMQ, [`RestClient`] over HTTP, and
//!   [`RestPool`] over HTTP with any number of queries in flight.
//! - [`stats`] contains the counts, and the 95 % confidence intervals of throughput and latency.
//! - [`null_server`] answers every query at once. A load against it measures the generator's limit.
//!
//! The crate is independent of deployments, sweeps and reports; a load needs only an address.

mod arrivals;
mod client;
pub mod client_state;
mod cpu_times;
mod drain;
mod error;
mod load;
mod native;
pub mod null_server;
pub mod overload;
pub mod pacer;
mod primary_metric;
mod rest;
mod rest_pool;
mod run;
mod shared;
pub mod stats;
pub mod steady;
pub mod trace;

pub use arrivals::Arrivals;
pub use client::Client;
pub use drain::wait_until_drained;
pub use error::{Error, TraceError};
pub use load::{Load, LoadControl, LoadResult, Progress, SliceLatency, Target, WindowOpening};
pub use native::NativeClient;
pub use primary_metric::{Estimate, Window, windows};
pub use rest::{RestClient, RestTarget};
pub use rest_pool::{RestPool, RestPoolTarget};
pub use run::run;
