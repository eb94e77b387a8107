//! The load generator: client threads send queries as they are to arrive, and record how each one ended.
//!
//! - [`Arrivals`]: how queries arrive; [`pacer`]: when the next one is intended; [`trace`]: arrival times out of a
//!   file.
//! - [`Load`], [`run`]: one load, from its first query to the last answer; [`Measured`]: what it has shown.
//! - [`flow`]: a client without its sockets and clock; [`Client`]: its connection, one file per protocol:
//!   [`NativeClient`] (ZeroMQ), [`RestClient`].
//! - [`stats`]: what became of the queries, and 95 % intervals of the figures.
//! - [`steady`]: when the window opens; [`overload`]: when an open loop above capacity ends; [`settle`]: what it leaves
//!   behind.
//! - [`null_server`]: a server that only answers, against which the generator itself is measured.
//!
//! The crate has no notion of deployment, sweeps or reports: it is given an address. `examples/null.rs` is a whole
//! load.

mod arrivals;
mod client;
mod error;
mod figure;
pub mod flow;
mod load;
mod native;
pub mod null_server;
pub mod overload;
pub mod pacer;
mod rest;
mod run;
mod settle;
mod shared;
pub mod stats;
pub mod steady;
mod threads;
pub mod trace;

pub use arrivals::Arrivals;
pub use client::Client;
pub use error::{Error, TraceError};
pub use figure::{Estimate, Window, windows};
pub use load::{Go, Load, Measured, Opening, Progress, SliceLatency, Target};
pub use native::NativeClient;
pub use rest::{RestClient, RestTarget};
pub use run::run;
pub use settle::settle;
