//! The engines that compute a network, behind one trait.

mod cuda;
mod ort;
#[cfg(feature = "tch")]
mod tch;

pub(crate) use cuda::{explain as explain_gpu, is_about_gpu};

use std::{path::Path, slice::ChunksExact};

use model::Device;

use crate::{Error, Network, network::Port};

/// A network, loaded: from pictures to features.
pub trait Engine {
    /// The engine's name and version, for instance `onnxruntime 1.31.1`.
    fn version(&self) -> String;

    /// What the network takes.
    fn inputs(&self) -> Vec<Port>;

    /// What the network answers.
    fn outputs(&self) -> Vec<Port>;

    /// Computes one call: `pictures` holds whole pictures in the network's shape, one after the other; at least one.
    ///
    /// # Errors
    /// What the engine says.
    fn run(&mut self, network: &Network, pictures: &[f32]) -> Result<EngineOutput, String>;
}

/// The output of one call of an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineOutput {
    /// Its dimensions; no dimensions are a single value.
    pub shape: Vec<usize>,
    /// Its values, the last dimension fastest: as many as the shape says.
    pub values: Vec<f32>,
}

impl EngineOutput {
    /// The values of each picture: equal parts along the first dimension.
    ///
    /// # Errors
    /// The shape, if its first dimension is not the number of pictures or a part is empty.
    pub(crate) fn rows(&self, pictures: usize) -> Result<ChunksExact<'_, f32>, String> {
        let shape = &self.shape;
        if shape.first() != Some(&pictures) {
            return Err(format!(
                "its output has the shape {shape:?}, where {pictures} was expected as the first dimension"
            ));
        }
        match self.values.len().checked_div(pictures) {
            None | Some(0) => Err(format!("its output is empty: its shape is {shape:?}")),
            Some(width) => Ok(self.values.chunks_exact(width)),
        }
    }
}

/// The engines by name.
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
    /// Those that this build has.
    pub fn in_this_build() -> Vec<EngineKind> {
        match cfg!(feature = "tch") {
            true => vec![EngineKind::Ort, EngineKind::Tch],
            false => vec![EngineKind::Ort],
        }
    }
}

/// What an engine may use.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// Where the network is computed.
    pub device: Device,
    /// The share of the GPU's memory that may be taken, above 0 and at most 1.
    pub gpu_mem_frac: f32,
    /// Threads that compute one batch on the CPU.
    pub threads: usize,
}

/// Loads the ONNX file at `path`.
pub(crate) fn load(
    kind: EngineKind,
    path: &Path,
    resources: Resources,
) -> Result<Box<dyn Engine>, Error> {
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
