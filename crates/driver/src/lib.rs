//! The benchmark: deploys a model behind a frontend, loads it, measures it, writes down what it saw.
//!
//! It measures from outside, over the protocol that every client speaks. In the order in which a sweep uses them:
//!
//! - [`cli`], [`settings`], [`models`], [`plan`], [`inputs`], [`labels`]: what is asked for,
//!   checked before anything starts.
//! - [`launch`], [`admin`]: frontend and model servers as local processes.
//! - [`load`], [`stats`]: queries in flight, and what became of each; [`host::samples`]: what that took of the machine.
//! - [`null_server`], [`self_test`]: what the load generator can do at most.
//! - [`measure`], [`deployment`], [`agenda`], [`search`], [`phases`]: one point from start to tear-down, phase by phase.
//! - [`verdict`]: what speaks against a point's numbers.
//! - [`sweep`], [`session`]: all points, one after the other, in a folder of their own. [`survey`]: such a sweep of
//!   each model.
//! - [`choice`], [`compare`]: which configuration to take, and two sweeps against each other.
//! - [`results`], [`report`]: the file of each point, the plan, the progress, the table and the page.
//! - [`import`]: the result files of the original driver.

pub mod admin;
pub mod agenda;
pub mod choice;
pub mod cli;
pub mod compare;
pub mod deployment;
mod error;
pub mod import;
pub mod inputs;
pub mod labels;
pub mod launch;
pub mod load;
pub mod measure;
pub mod models;
pub mod null_server;
pub mod phases;
pub mod plan;
pub mod report;
pub mod results;
pub mod search;
pub mod self_test;
pub mod session;
pub mod settings;
pub mod stats;
pub mod survey;
pub mod sweep;
pub mod verdict;

pub use error::Error;
