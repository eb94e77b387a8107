//! The benchmark: deploys a model behind a frontend, loads it, measures it, writes down what it saw.
//!
//! It measures from outside, over the protocol that every client speaks. In the order in which a sweep uses them:
//!
//! - [`cli`], [`settings`], [`plan`], [`inputs`], [`labels`]: what is asked for, checked before anything starts.
//! - [`measure`], [`agenda`], [`search`]: one point from start to tear-down, phase by phase.
//! - [`self_test`]: what the load generator can do at most.
//! - [`sweep`], [`session`]: all points, one after the other, in a folder of their own. [`survey`]: such a sweep of each model.
//! - [`report`]: the plan, the progress, the table and the page.
//!
//! Frontend and model servers are [`deploy`]'s, the load is [`loadgen`]'s, the machine [`host`]'s, and what is found goes into
//! [`results`].

pub mod agenda;
pub mod cli;
mod error;
pub mod inputs;
pub mod labels;
pub mod measure;
pub mod plan;
pub mod report;
pub mod search;
pub mod self_test;
pub mod session;
pub mod settings;
pub mod survey;
pub mod sweep;

pub use error::Error;
