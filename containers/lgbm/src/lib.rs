//! The lgbm model server: features -> LightGBM -> scores.
//!
//! An input is as many floats as the model has features (2,048 from `inception`); NaN stands for a missing value, as
//! always in LightGBM. The output is a probability per class for a multi-class model, one number for any other.

mod model_file;
mod train;

pub use train::train;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lightgbm3::Booster;
use model::{Batch, DataType, Model, ModelInfo, Output, PredictError, Predictions};
use serde_json::json;

/// A LightGBM model that answers batches. It stays on the thread that loads it.
pub struct Lgbm {
    booster: Booster,
    /// Features of one input.
    width: usize,
    /// Numbers in one output.
    outputs: usize,
    settings: Settings,
}

/// How to run it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Threads for one batch; 0 counts as 1.
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

/// Below this many rows one thread does the work: OpenMP's threads spin while they wait for each other, and where a core
/// is busy with something else a small batch then takes milliseconds.
const SMALL_BATCH: usize = 64;

impl Lgbm {
    /// Loads the text model file at `path`, as LightGBM of any language saves it.
    pub fn load(path: &Path, settings: Settings) -> Result<Lgbm, Error> {
        let text = read(path)?;
        let damaged = |problem| Error::Artifact(path.to_owned(), problem);
        model_file::check(&text).map_err(damaged)?;
        let mut booster =
            Booster::from_string(&text).map_err(|error| damaged(error.to_string()))?;
        let fast = json!({ "num_threads": 1, "verbosity": -1 });
        booster
            .single_row_fast_init::<f32>(Some(&fast))
            .map_err(|error| damaged(error.to_string()))?;
        let count = |number: i32| {
            usize::try_from(number).map_err(|_| damaged(format!("it counts {number} features")))
        };
        Ok(Lgbm {
            width: count(booster.num_features())?,
            outputs: count(booster.num_classes())?,
            booster,
            settings,
        })
    }

    /// The outputs of all rows, one after the other.
    fn scores(&self, rows: &[f32]) -> Result<Vec<f64>, PredictError> {
        let scores = if rows.len() < SMALL_BATCH * self.width || self.threads() == 1 {
            // The same numbers; on one thread this takes two thirds of the time of a call for the whole batch.
            rows.chunks_exact(self.width)
                .map(|row| self.booster.predict_single_row_fast(row))
                .collect::<Result<Vec<_>, _>>()
                .map(|scores| scores.concat())
        } else {
            let parameters = format!("num_threads={} verbosity=-1", self.threads());
            let width = self.booster.num_features();
            self.booster
                .predict_with_params(rows, width, true, &parameters)
        };
        scores.map_err(|error| PredictError(error.to_string()))
    }

    fn threads(&self) -> usize {
        self.settings.threads.max(1)
    }
}

impl Model for Lgbm {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            engine: "lightgbm".into(),
            device: "cpu".into(),
            threads: self.threads(),
            output_type: DataType::Floats,
            input_shape: vec![self.width],
            max_batch: None,
            artifact: self.settings.artifact.clone(),
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        let mut rows = vec![0.0; batch.len() * self.width];
        let mut used = 0;
        let checks: Vec<_> = (0..batch.len())
            .map(|index| {
                // A refused input leaves its place to the next: LightGBM reads whole rows, without asking.
                let row = &mut rows[used * self.width..][..self.width];
                batch.copy_floats(index, row).map(|()| used += 1)
            })
            .collect();
        let scores = match used {
            0 => Vec::new(),
            _ => self.scores(&rows[..used * self.width])?,
        };
        let mut scores = scores.chunks_exact(self.outputs);
        let mut answer = |()| {
            let scores = scores.next().expect("LightGBM scores every row");
            Output::Floats(scores.iter().map(|&score| score as f32).collect())
        };
        Ok(checks
            .into_iter()
            .map(|check| check.map(&mut answer))
            .collect())
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::Missing(path.to_owned()),
        io::ErrorKind::InvalidData => Error::Artifact(path.to_owned(), "it is not text".into()),
        _ => Error::Io(path.to_owned(), source),
    })
}
