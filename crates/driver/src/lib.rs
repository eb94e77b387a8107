//! The benchmark driver. A sweep measures every config, a combination of replicas, cores and batch size, in one trial
//! after the other.
//!
//! The modules, in the order in which a sweep uses them:
//!
//! - [`cli`] parses the command line into [`settings`].
//! - [`prepare`] makes the [`plan`] and the [`inputs`] with their [`labels`], and [`describe`]
//!   prints the plan. Nothing has been started yet.
//! - [`start`] builds or finds the programs and makes the [`folder`] of the sweep with its
//!   [`record`].
//! - [`sweep`] is the loop over the trials. [`series`] makes the spec of each trial, [`baseline`]
//!   those of the no-op model, and [`time_left`] estimates the remaining time.
//! - [`trial`] runs one trial, from its spec to its result. [`phase_plan`] and [`search`] determine
//!   its phases, and [`self_test`] measures the ceiling of the load generator.
//! - [`survey`] runs a short sweep of each model.
//!
//! The crate `deploy` starts frontend and replicas, `loadgen` sends the queries, `results` defines result files, and
//! `report` prints them.

pub mod baseline;
pub mod cli;
pub mod describe;
mod error;
pub mod folder;
pub mod inputs;
pub mod labels;
pub mod phase_plan;
pub mod plan;
pub mod prepare;
pub mod record;
pub mod search;
pub mod self_test;
pub mod series;
pub mod settings;
pub mod start;
pub mod survey;
pub mod sweep;
pub mod time_left;
pub mod trial;

pub use error::Error;
