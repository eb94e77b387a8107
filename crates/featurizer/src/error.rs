//! Why a featurizer does not start.

use std::path::PathBuf;

use model::DataType;

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
    /// A GPU was asked for and cannot be used.
    #[error("cannot compute on GPU {gpu}: {reason}")]
    Gpu {
        /// Its number.
        gpu: u32,
        /// Why not, and what to do.
        reason: String,
    },
    /// libtorch was asked for and is not in this build.
    #[error(
        "this build has no libtorch: run `make tch`, then build with `--features tch`; or leave out --engine tch"
    )]
    NoTch,
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
    #[error("{} is not an ONNX model that {engine} can load: {reason}", path.display())]
    Artifact {
        /// The artifact.
        path: PathBuf,
        /// The engine.
        engine: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The metadata file beside the artifact cannot be read.
    #[error("{} is not an artifact's metadata: {reason}", path.display())]
    Metadata {
        /// The metadata file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The artifact takes something else than pictures, or nobody said how.
    #[error("{model} cannot serve {}: {reason}", path.display())]
    Network {
        /// The artifact.
        path: PathBuf,
        /// The model server.
        model: &'static str,
        /// What does not fit, and what to do.
        reason: String,
    },
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|p| p.display().to_string()).collect();
    paths.join(", ")
}
