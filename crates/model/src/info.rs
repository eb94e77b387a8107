//! What is known of a model: what it says of itself, and where its weights come from.

use serde::{Deserialize, Serialize};

use crate::{Accuracy, DataType};

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
