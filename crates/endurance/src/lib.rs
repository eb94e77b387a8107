//! Chaos and soak, over real processes: every query is accounted for.
//!
//! - [`ledger`]: how each query ended, once; [`weather`]: what was wrong then; [`questions`]: which answer is right.
//! - [`asker`]: a client, over a connection of `loadgen`'s; [`due`]: when it asks; [`load`], [`shared`]: all of them,
//!   at a share of what they can; [`vanish`]: one that goes.
//! - [`models`], [`process`], [`scene`]: frontend and model servers.
//! - [`schedule`], [`faults`]: what goes wrong when, and its doing; [`samples`]: what processes hold.
//! - [`progress`], [`report`]: what is told.

#![allow(
    clippy::missing_errors_doc,
    reason = "the library of two programs, which nobody else calls"
)]

pub mod asker;
pub mod due;
pub mod faults;
pub mod ledger;
pub mod load;
pub mod models;
pub mod process;
pub mod progress;
pub mod questions;
pub mod report;
pub mod samples;
pub mod scene;
pub mod schedule;
pub mod shared;
pub mod vanish;
pub mod weather;
