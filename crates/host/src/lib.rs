//! The machine that a benchmark runs on: its hardware, the allocation of its cores, and the resources
//! that each process uses.
//!
//! - [`cores`]: core lists, topology, pinning, and the allocation to replicas, frontend and driver.
//! - [`cgroup`]: CPU limits of control groups, and the time for which they throttled processes.
//! - [`machine`]: processor, kernel, memory and software versions, for the record of a result.
//! - [`samples`]: samples of processes, cores and GPUs under load, collected in [`Resources`].
//!
//! The crate reads the kernel's files, queries the GPU driver, and sets the CPU affinity of this
//! process's threads. It starts no servers and sends no queries.

pub mod cgroup;
pub mod cores;
mod error;
pub mod machine;
mod resources;
pub mod samples;

pub use error::{Error, FileError, InvalidCoreList};
pub use resources::{CoreUse, GpuUse, ProcessUse, Resources};
