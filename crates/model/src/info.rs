//! Description of a model and of its artifact.

use serde::{Deserialize, Serialize};

use crate::{Accuracy, DataType};

/// A model's description of itself; results repeat it, to identify what was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Engine that computes the model: "onnxruntime 1.31.1", "lightgbm", ...
    pub engine: String,
    /// Device that computes the model: "cpu" or "cuda:0".
    pub device: String,
    /// Threads that the engine uses for one batch.
    pub threads: usize,
    /// Type of the outputs.
    pub output_type: DataType,
    /// Shape of one input, for instance `[224, 224, 3]`; empty if any length is accepted.
    pub input_shape: Vec<usize>,
    /// Largest batch that the model accepts; `None` if there is no limit.
    pub max_batch: Option<usize>,
    /// Content of the artifact's metadata file.
    pub artifact: Option<Artifact>,
}

/// Description of an artifact: the content of the metadata file beside it (`vgg.onnx.json`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Artifact {
    /// Name of the file, without its folder.
    pub file: String,
    /// Origin of the weights, in words: "seeded random weights (He), seed 1: its output is no
    /// answer".
    pub provenance: String,
    /// False if the weights are random: only the model's speed is then meaningful.
    pub trained: bool,
    /// Classes of a classifier, in the order of its scores; empty if unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Accuracy of a classifier on the inputs held out in training, computed without a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
}
