//! The inference engines, behind one trait.

mod cuda;
mod interface;
mod ort;
#[cfg(feature = "tch")]
mod tch;

pub(crate) use cuda::{explain as explain_gpu, is_about_gpu};
pub use interface::{ComputeResources, EngineError, EngineOutput, InferenceEngine};

use std::path::Path;

use crate::Error;

/// The engines, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub enum EngineKind {
    /// ONNX Runtime.
    #[default]
    Ort,
    /// libtorch; only in a build with the feature `tch`.
    Tch,
}

impl EngineKind {
    /// Returns the engines of this build.
    pub fn in_this_build() -> Vec<EngineKind> {
        match cfg!(feature = "tch") {
            true => vec![EngineKind::Ort, EngineKind::Tch],
            false => vec![EngineKind::Ort],
        }
    }
}

/// Loads the ONNX file at `path`.
pub(crate) fn load(
    kind: EngineKind,
    path: &Path,
    resources: ComputeResources,
) -> Result<Box<dyn InferenceEngine>, Error> {
    if !path.is_file() {
        return Err(Error::Missing(path.to_owned()));
    }
    match kind {
        EngineKind::Ort => Ok(Box::new(ort::Onnxruntime::load(path, resources)?)),
        #[cfg(feature = "tch")]
        EngineKind::Tch => Ok(Box::new(tch::Libtorch::load(path, resources)?)),
        #[cfg(not(feature = "tch"))]
        EngineKind::Tch => Err(Error::NoTch),
    }
}
