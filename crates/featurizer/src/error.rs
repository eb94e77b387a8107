//! Errors of loading a featurizer.

use std::path::PathBuf;

use model::DataType;

/// Problem with the artifact, the engine or the settings, and its remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input type is neither of the two that can hold a picture.
    #[error(
        "{model} takes floats or strings, not {data_type}: set CLIPPER_INPUT_TYPE to one of the two"
    )]
    InputType {
        /// The model server.
        model: &'static str,
        /// The requested type.
        data_type: DataType,
    },
    /// The requested GPU cannot be used.
    #[error("cannot compute on GPU {gpu}: {reason}")]
    Gpu {
        /// Number of the GPU.
        gpu: u32,
        /// The cause and its remedy.
        reason: String,
    },
    /// The requested engine libtorch is not in this build.
    #[error(
        "this build has no libtorch: run `make tch`, then build with `--features tch`; or omit --engine tch"
    )]
    NoTch,
    /// onnxruntime's library is missing.
    #[error("libonnxruntime.so is missing: run `make setup`, or set ORT_DYLIB_PATH to its path (looked for {})", list(.0))]
    LibraryMissing(Vec<PathBuf>),
    /// onnxruntime's library does not load.
    #[error("cannot load onnxruntime from {}: {reason}; run `make setup`, or set ORT_DYLIB_PATH to another library", path.display())]
    Library {
        /// The library.
        path: PathBuf,
        /// Error text of the loader.
        reason: String,
    },
    /// The artifact is missing.
    #[error(
        "the artifact {} is missing: make it with `cargo run --release -p xtask -- artifacts`, \
         or name another with CLIPPER_MODEL_PATH", .0.display()
    )]
    Missing(PathBuf),
    /// The artifact is not an ONNX model that the engine can compute.
    #[error("{} is not an ONNX model that {engine} can load: {reason}", path.display())]
    Artifact {
        /// The artifact.
        path: PathBuf,
        /// The engine.
        engine: &'static str,
        /// The cause.
        reason: String,
    },
    /// The metadata file beside the artifact cannot be read.
    #[error("{} is not an artifact's metadata file: {reason}", path.display())]
    Metadata {
        /// The metadata file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The artifact's input is not pictures, or its format is unknown.
    #[error("{model} cannot serve {}: {reason}", path.display())]
    Network {
        /// The artifact.
        path: PathBuf,
        /// The model server.
        model: &'static str,
        /// The mismatch and its remedy.
        reason: String,
    },
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    paths.join(", ")
}
