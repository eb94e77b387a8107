//! Results of measurements: the result file, the verdict on its numbers, and what several results
//! say together.
//!
//! - [`Trial`]: one measurement. [`Config`]: the combination that it measured. [`Folder`]: the
//!   results of a sweep, read back. [`Slot`]: the name of a file to be written. [`schema()`]: the
//!   JSON Schema.
//! - [`Phase::read`]: reads a load's outcome into a part of a result.
//! - [`checks`]: all checks of a result, and the verdict.
//! - [`Rounds`], [`ConfigKey`]: the trials of one configuration, put together.
//! - [`pareto`]: the Pareto front of a sweep and the configuration to take. [`compare`]: two sweeps
//!   compared.
//! - [`import`]: the result files of the original driver. [`fixture`]: synthetic results, for tests
//!   and examples.
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
mod format;
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

// Types of fields, and averages, of other crates, so that a reader of results needs no other crate.
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
pub use folder::{Folder, ReadError, TrialFile, files};
pub use rounds::{RoundCounts, Rounds, sorted};
pub use schema::schema;
pub use slot::{Slot, timestamped_names, write_json};
pub use speed::{
    Baseline, ClientMetrics, Generator, Lag, Latency, Percentile, Phase, PhaseKind, SearchResult,
    Speed, TimeBreakdown,
};
pub use text::{percent, percent_to_tenths};
pub use trial::{
    DriverConfig, FORMAT, NodeConfig, ReplicaResult, Trial, TrialOutcome, UNENFORCED_SLO,
};
pub use verdict::{Verdict, VerdictReason, VerdictStatus};
