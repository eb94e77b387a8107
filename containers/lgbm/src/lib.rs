//! The lgbm model server: features -> LightGBM -> scores.
//!
//! An input is as many floats as the model has features (2,048 from `inception`); NaN stands for a missing value, as
//! always in LightGBM. The output is a probability per class for a multi-class model, one number for any other.

mod model_file;
mod train;
mod workers;

pub use train::train;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use model::{Batch, DataType, Model, ModelInfo, PredictError, Predictions};
use workers::Workers;

/// A LightGBM model that answers batches. It stays on the thread that loads it.
pub struct Lgbm {
    workers: Workers,
    settings: Settings,
}

/// How to run it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Threads for one batch, each with a model of its own in memory; 0 counts as 1.
    pub threads: usize,
    /// Where the artifact comes from, to be repeated in [`ModelInfo`].
    pub artifact: Option<model::Artifact>,
}

/// Why a model could not be loaded, trained or saved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no model file.
    #[error(
        "there is no LightGBM model at {}: make it with `cargo run --release -p xtask -- artifacts`, \
         or name another with CLIPPER_MODEL_PATH",
        .0.display()
    )]
    Missing(PathBuf),
    /// The model file could not be read or written.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// The file is no LightGBM model, or a damaged one.
    #[error(
        "{} is no LightGBM text model: {}; make it anew with `cargo run --release -p xtask -- artifacts --force`, \
         or name another with CLIPPER_MODEL_PATH",
        .0.display(), .1
    )]
    Artifact(PathBuf, String),
    /// The examples cannot be learnt from.
    #[error("training: {0}")]
    Training(String),
}

impl Lgbm {
    /// Loads the text model file at `path`, as LightGBM of any language saves it.
    pub fn load(path: &Path, settings: Settings) -> Result<Lgbm, Error> {
        let text = read(path)?;
        let damaged = |problem| Error::Artifact(path.to_owned(), problem);
        model_file::check(&text).map_err(damaged)?;
        let threads = settings.threads.max(1);
        Ok(Lgbm {
            workers: Workers::load(&text, threads).map_err(damaged)?,
            settings: Settings {
                threads,
                ..settings
            },
        })
    }

    /// What LightGBM computes for one row of features, in float64; [`predict`](Model::predict) rounds it to float32.
    ///
    /// # Errors
    /// If the row has another number of features.
    pub fn scores(&self, row: &[f32]) -> Result<Vec<f64>, PredictError> {
        let (width, given) = (self.workers.width(), row.len());
        if given != width {
            return Err(PredictError(format!(
                "a row has {width} features, this one has {given}"
            )));
        }
        self.workers.scores(row)
    }
}

impl Model for Lgbm {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            engine: "lightgbm".into(),
            device: "cpu".into(),
            threads: self.settings.threads,
            output_type: DataType::Floats,
            input_shape: vec![self.workers.width()],
            max_batch: None,
            artifact: self.settings.artifact.clone(),
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        self.workers.predict(batch)
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::Missing(path.to_owned()),
        io::ErrorKind::InvalidData => Error::Artifact(path.to_owned(), "it is not text".into()),
        _ => Error::Io(path.to_owned(), source),
    })
}
