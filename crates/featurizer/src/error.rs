//! Why a featurizer does not start.

use std::path::PathBuf;

use model::{DataType, Device};

/// What is wrong with the artifact, the engine or the settings, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input type is neither of the two that hold a picture.
    #[error(
        "{model} takes floats or strings, not {data_type}: set CLIPPER_INPUT_TYPE to one of the two"
    )]
    InputType {
        /// The model server.
        model: &'static str,
        /// The type asked for.
        data_type: DataType,
    },
    /// The device is not one that this build can use.
    #[error("this build runs on CPU only, so not on {0}: leave the device out, or say cpu")]
    Device(Device),
    /// onnxruntime's library is nowhere.
    #[error("libonnxruntime.so is missing: run `make setup`, or name it with ORT_DYLIB_PATH (looked for {})", list(.0))]
    LibraryMissing(Vec<PathBuf>),
    /// onnxruntime's library does not load.
    #[error("onnxruntime does not start from {}: {reason}; run `make setup`, or name another with ORT_DYLIB_PATH", path.display())]
    Library {
        /// The library.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// There is no artifact.
    #[error(
        "the artifact {} is missing: make it with `cargo run --release -p xtask -- artifacts`, \
         or name another with CLIPPER_MODEL_PATH", .0.display()
    )]
    Missing(PathBuf),
    /// The artifact is no ONNX model, or one that the engine cannot compute.
    #[error("{} is not an ONNX model that onnxruntime can load: {reason}", path.display())]
    Artifact {
        /// The artifact.
        path: PathBuf,
        /// What the engine says.
        reason: String,
    },
    /// The artifact is a model of another architecture.
    #[error("{} is not a {model} model: {reason}", path.display())]
    Shape {
        /// The artifact.
        path: PathBuf,
        /// The model server.
        model: &'static str,
        /// The shape found and the shape wanted.
        reason: String,
    },
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    paths.join(", ")
}
