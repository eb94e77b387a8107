//! The machine that a benchmark runs on: what it is, who gets which of its cores, and what each process uses.
//!
//! - [`cores`]: lists of cores, topology, the allocation of cores to replicas, frontend and driver, and pinning.
//! - [`cgroup`]: the limits of the kernel's control groups, and how long they stopped this process.
//! - [`machine`]: processor, kernel and memory, and the versions of what is measured, for the record of a result.
//! - [`samples`]: samples of processes, cores and GPUs under load; [`Resources`] is what they add up to.
//!
//! The crate reads files of the kernel and the GPUs' driver, and sets the affinity of threads of this process. It
//! starts no server and sends no query.

pub mod cgroup;
pub mod cores;
mod error;
pub mod machine;
mod resources;
pub mod samples;

pub use error::{Error, FileError, NotACore};
pub use resources::{CoreUse, GpuUse, ProcessUse, Resources};
