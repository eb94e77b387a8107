//! The benchmark: sweeps over the combinations of replicas, cores and batch sizes, one trial of each after the other.
//!
//! In the order in which a sweep uses them:
//!
//! - [`cli`], [`settings`]: what is asked for. [`prepare`], [`plan`], [`inputs`], [`labels`], [`describe`]: checked and
//!   planned before anything starts.
//! - [`start`], [`folder`], [`record`]: the programs and the folder of a sweep.
//! - [`sweep`]: the loop over its trials. [`series`]: what each is given; [`baseline`]: those of the no-op model;
//!   [`time_left`].
//! - [`trial`]: one trial, from a spec to a result. [`phase_plan`], [`search`]: its phases; [`self_test`]: the
//!   generator's ceiling.
//! - [`survey`]: a short sweep of each model, sized by a trial.
//!
//! `deploy` starts what is measured, `loadgen` loads it, `results` holds what is found, `report` shows it.

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
