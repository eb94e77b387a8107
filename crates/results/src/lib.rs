//! The results of measurements: what a result file holds, whether its numbers may be acted on, and what several say together.
//!
//! - [`PointResult`]: one measurement; [`Folder`]: the files of a sweep, read back; [`Slot`]: the name of a file to be
//!   written; [`schema()`]: the JSON Schema. [`Config`]: the combination that was measured.
//! - [`Phase::read`]: what a load has shown, as a part of a result.
//! - [`checks`]: every check that speaks against a result's numbers, and the verdict.
//! - [`Rounds`], [`Shape`]: the measurements of one combination, put together.
//! - [`pareto`]: which configuration to take; [`compare`]: two sweeps against each other.
//! - [`import`]: the result files of the original driver. [`fixture`]: made-up results, for tests and examples.
//!
//! The crate reads and writes files, and does no other I/O.
//!
//! ```
//! use results::{Status, checks, fixture};
//!
//! let result = fixture::whole();
//! assert_eq!(result.config().to_string(), "replicas 2, CPUs 1, batch 4");
//! assert_eq!(checks::judge(&result).status, Status::Valid);
//! let p99 = result.speed().and_then(|speed| speed.latency()?.latency.as_ref()?.percentile(0.99));
//! assert_eq!(p99.map(|p99| p99.ms.value), Some(138.0));
//! ```

mod accuracy;
pub mod checks;
pub mod compare;
mod config;
mod error;
pub mod fixture;
mod folder;
pub mod import;
pub mod pareto;
mod phase;
mod result;
mod rounds;
mod schema;
mod shape;
mod slot;
mod speed;
mod verdict;

pub use accuracy::AccuracyRun;
pub use config::Config;
pub use error::Error;
pub use folder::{Filed, Folder, NotRead, files};
pub use result::{
    DriverConfig, FORMAT, NodeConfig, Outcome, PointResult, ReplicaResult, UNENFORCED,
};
pub use rounds::{RoundCounts, Rounds, middle, sorted};
pub use schema::schema;
pub use shape::{Points, Shape, by_shape, by_shapes};
pub use slot::{Slot, names, write};
pub use speed::{
    ClientMetrics, Generator, Lag, Latency, Percentile, Phase, PhaseKind, Search, Speed,
    TimeBreakdown, Zero,
};
pub use verdict::{Reason, Status, Verdict};
