//! What an engine is: it computes a network, on what it may use.

use std::slice::ChunksExact;

use model::Device;

use crate::{Network, Port};

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
    fn run(&mut self, network: &Network, pictures: &[f32]) -> Result<EngineOutput, EngineError>;
}

/// Why an engine could not compute a call, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EngineError(pub String);

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
