//! The `main` of `vgg` and `inception`, the model servers for pictures.
//!
//! Each of them consists of an [`Architecture`] and [`ServerSettings`]. [`main`] runs the
//! featurizer's model in the runtime of model servers; the two crates do not depend on each other.

use std::process::ExitCode;

pub use container::ServerSettings;
use container::artifact_beside;
pub use featurizer::Architecture;
use featurizer::{Featurizer, FeaturizerFlags, Settings};

/// Runs the model server until a signal stops it.
///
/// Exits with status 0 after SIGTERM or SIGINT, and with 1 and a line on standard error if it
/// cannot serve.
pub fn main(server: ServerSettings, architecture: &Architecture) -> ExitCode {
    container::main(server, |common, flags: FeaturizerFlags| {
        let settings = Settings {
            data_type: common.input_type,
            device: common.device,
            gpu_mem_frac: common.gpu_mem_frac,
            threads: common.threads,
            artifact: artifact_beside(&common.model_path)?,
            flags,
        };
        Ok(Featurizer::load(
            architecture,
            &common.model_path,
            settings,
        )?)
    })
}
