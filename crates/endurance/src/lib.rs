//! Chaos and soak, over real processes: every query is accounted for.
//!
//! - [`ledger`]: how each query ended, once; [`weather`]: what was wrong then; [`questions`]: which answer is right.
//! - [`native`], [`rest`]: clients; [`pace`], [`load`]: all of them, at a share of what they can.
//! - [`models`], [`process`], [`scene`]: frontend and model servers.
//! - [`schedule`], [`faults`]: what goes wrong when, and its doing; [`samples`]: what processes hold.
//! - [`progress`], [`report`]: what is told.

pub mod faults;
pub mod ledger;
pub mod load;
pub mod models;
pub mod native;
pub mod pace;
pub mod process;
pub mod progress;
pub mod questions;
pub mod report;
pub mod rest;
pub mod samples;
pub mod scene;
pub mod schedule;
pub mod weather;
