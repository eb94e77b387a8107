//! The results of measurements: what a result file holds, whether its numbers may be acted on, and what several say
//! together.
//!
//! - [`Trial`]: one measurement; [`Folder`]: the files of a sweep, read back; [`Slot`]: the name of a file to be
//!   written; [`schema()`]: the JSON Schema. [`Config`]: the combination that was measured.
//! - [`Phase::read`]: what a load has shown, as a part of a result.
//! - [`checks`]: every check that speaks against a result's numbers, and the verdict.
//! - [`Rounds`], [`ConfigKey`]: the measurements of one combination, put together.
//! - [`pareto`]: which configuration to take; [`compare`]: two sweeps against each other.
//! - [`import`]: the result files of the original driver. [`fixture`]: made-up results, for tests and examples.
//!
//! The crate reads and writes files, and does no other I/O.

mod accuracy;
pub mod checks;
pub mod compare;
mod config;
mod config_key;
mod error;
pub mod fixture;
mod folder;
pub mod import;
pub mod pareto;
mod phase;
mod rounds;
mod schema;
mod slot;
mod speed;
mod text;
mod trial;
mod verdict;

// The types of fields, and averages, that come from below, so that a reader of results needs no other crate.
pub use host::{CoreUse, FileError, GpuUse, ProcessUse, Resources, cores};
pub use loadgen::{
    Arrivals, Estimate, Progress, SliceLatency,
    stats::{
        Totals,
        interval::{mean, median},
    },
};

pub use accuracy::AccuracyRun;
pub use config::Config;
pub use config_key::{ConfigKey, RoundsByConfig, by_config, by_configs};
pub use error::Error;
pub use folder::{Filed, Folder, NotRead, files};
pub use rounds::{RoundCounts, Rounds, sorted};
pub use schema::schema;
pub use slot::{Slot, names, write};
pub use speed::{
    ClientMetrics, Generator, Lag, Latency, Percentile, Phase, PhaseKind, Search, Speed,
    TimeBreakdown, Zero,
};
pub use text::{percent, percent_to_tenths};
pub use trial::{DriverConfig, FORMAT, NodeConfig, Outcome, ReplicaResult, Trial, UNENFORCED};
pub use verdict::{Reason, Status, Verdict};
