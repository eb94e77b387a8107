//! The benchmark: deploys a model behind a frontend, loads it, measures it, writes down what it saw.
//!
//! It measures from outside, over the protocol that every client speaks. In the order in which a sweep uses them:
//!
//! - [`cli`], [`settings`], [`models`], [`cores`], [`plan`], [`inputs`], [`labels`]: what is asked for, checked before
//!   anything starts.
//! - [`launch`], [`admin`]: frontend and model servers as local processes.
//! - [`load`], [`stats`]: queries in flight, and what became of each.
//! - [`measure`], [`phases`], [`search`]: one point from start to tear-down, phase by phase.
//! - [`verdict`]: what speaks against a point's numbers.
//! - [`choice`], [`compare`]: which configuration to take, and two sweeps against each other.
//! - [`results`], [`machine`], [`report`]: the file of each iteration, the plan, the progress, the table and the page.
//! - [`import`]: the result files of the original driver.

pub mod admin;
pub mod choice;
pub mod cli;
pub mod compare;
pub mod cores;
mod error;
pub mod import;
pub mod inputs;
pub mod labels;
pub mod launch;
pub mod load;
pub mod machine;
pub mod measure;
pub mod models;
pub mod phases;
pub mod plan;
pub mod report;
pub mod results;
pub mod search;
pub mod settings;
pub mod stats;
pub mod verdict;

pub use error::Error;
