//! The `main` of the model servers for pictures, `vgg` and `inception`.
//!
//! Each of them is an [`Architecture`] and a [`Server`]. [`main`] gives the featurizer's model to the runtime of model
//! servers; the two do not depend on each other.

use std::process::ExitCode;

pub use container::Server;
use container::artifact_beside;
pub use featurizer::Architecture;
use featurizer::{Featurizer, Flags, Settings};

/// Runs the model server until it is stopped.
///
/// Exits with status 0 after SIGTERM or SIGINT, with 1 and a line on standard error if it cannot serve.
pub fn main(server: Server, architecture: &Architecture) -> ExitCode {
    container::main(server, |told, flags: Flags| {
        let settings = Settings {
            data_type: told.input_type,
            device: told.device,
            gpu_mem_frac: told.gpu_mem_frac,
            threads: told.threads,
            artifact: artifact_beside(&told.model_path)?,
            flags,
        };
        Ok(Featurizer::load(architecture, &told.model_path, settings)?)
    })
}
