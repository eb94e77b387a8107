//! The vocabulary of the project: what a model takes, what it answers, and how it fails.
//!
//! Sync, without I/O: a model server implements [`Model`] and knows nothing else.

mod batch;
mod class;
mod data_type;
mod device;
mod output;

pub use batch::{Batch, Numeric, element_count};
pub use class::{Accuracy, NotAClass};
pub use data_type::{DataType, UnknownDataType};
pub use device::{Device, UnknownDevice};
pub use output::Output;

use serde::{Deserialize, Serialize};

/// A model that answers batches. It is built, and lives, on one thread: it need not be `Send`.
pub trait Model {
    /// What the model is: said once, when the model server registers.
    fn info(&self) -> ModelInfo;

    /// One prediction per input, in the order of the inputs.
    ///
    /// An input that is wrong fails alone ([`InputError`]); [`PredictError`] fails the whole batch.
    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError>;
}

/// The answers to a batch, one per input and in their order.
pub type Predictions = Vec<Result<Output, InputError>>;

/// What a model says of itself; results repeat it, so that nobody mistakes what was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// What computes: "onnxruntime 1.31.1", "lightgbm", ...
    pub engine: String,
    /// Where it computes: "cpu" or "cuda:0".
    pub device: String,
    /// Threads that the engine uses for one batch.
    pub threads: usize,
    /// The type of the outputs, by name (see [`DataType`]).
    pub output_type: DataType,
    /// The shape of one input, for instance `[224, 224, 3]`; empty if any length is taken.
    pub input_shape: Vec<usize>,
    /// The largest batch that the model can take; `None` if there is no limit.
    pub max_batch: Option<usize>,
    /// Where the weights come from, as the artifact's metadata file says.
    pub artifact: Option<Artifact>,
}

/// What is known of an artifact: the content of the metadata file beside it (`vgg.onnx.json`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Artifact {
    /// The file's name, without its folder.
    pub file: String,
    /// What made the weights, in words: "seeded random weights (He), seed 1: its output is no answer".
    pub provenance: String,
    /// False where the weights are random: then only its speed means anything.
    pub trained: bool,
    /// What a classifier tells apart, in the order of its scores; empty where nobody said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// How right a classifier was on the inputs that were held out when it was trained, outside of any server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
}

/// One input is wrong; its neighbours in the batch are not touched. The text goes to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InputError(pub String);

/// The model failed on the whole batch. The text goes to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PredictError(pub String);
