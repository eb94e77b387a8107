//! The interface of an inference engine.

use std::slice::ChunksExact;

use model::Device;

use crate::{Network, NetworkPort};

/// An engine with a loaded network, which computes features of pictures.
pub trait InferenceEngine {
    /// Returns the engine's name and version, for instance `onnxruntime 1.31.1`.
    fn version(&self) -> String;

    /// Returns the inputs of the network.
    fn inputs(&self) -> Vec<NetworkPort>;

    /// Returns the outputs of the network.
    fn outputs(&self) -> Vec<NetworkPort>;

    /// Computes one call. `pictures` holds at least one picture in the network's shape, one after
    /// the other.
    ///
    /// # Errors
    /// If the engine fails.
    fn run(&mut self, network: &Network, pictures: &[f32]) -> Result<EngineOutput, EngineError>;
}

/// Error text of an engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(pub String);

/// The output of one call of an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineOutput {
    /// The dimensions; empty for a single value.
    pub shape: Vec<usize>,
    /// The values, with the last dimension fastest.
    pub values: Vec<f32>,
}

impl EngineOutput {
    /// Splits the output along its first dimension into one row per picture.
    ///
    /// # Errors
    /// If the first dimension is not the number of pictures, or the rows are empty.
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

/// Resources that an engine may use.
#[derive(Clone, Copy, Debug)]
pub struct ComputeResources {
    /// Device that computes the network.
    pub device: Device,
    /// Share of the GPU's memory that the engine may use, above 0 and at most 1.
    pub gpu_mem_frac: f32,
    /// Threads that compute one batch on the CPU.
    pub threads: usize,
}
