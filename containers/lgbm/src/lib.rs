//! The lgbm model server: features -> LightGBM -> scores.
//!
//! An input has one float per feature of the model (2,048 from `inception`), or one double if the
//! settings say so. NaN is a missing value, as always in LightGBM. The output has the same type:
//! one probability per class for a multi-class model, one number for any other.

mod float32;
mod model_file;
mod train;
mod workers;

pub use train::train;

use std::{fs, path::Path};

use model::{Batch, DataType, Model, ModelInfo, PredictError, Predictions};
pub use model::{ClassifierError as Error, ClassifierSettings as Settings};
use workers::Workers;

/// A LightGBM model that predicts batches. It stays on the thread that loads it.
pub struct Lgbm {
    workers: TypedWorkers,
    settings: Settings,
    float32_loss: Option<String>,
}

/// The model in the precision of its inputs.
enum TypedWorkers {
    Floats(Workers<f32>),
    Doubles(Workers<f64>),
}

/// Name of the artifact's format in messages.
const FORMAT: &str = "LightGBM text model";

impl Lgbm {
    /// Loads the text model file at `path`, as saved by LightGBM in any language. Each thread has
    /// its own copy of the model in memory.
    ///
    /// # Errors
    /// If the file cannot be read or is not a LightGBM model, or a thread cannot be started.
    pub fn load(path: &Path, settings: Settings) -> Result<Lgbm, Error> {
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| Error::of_reading(path, FORMAT, error))?;
        let damaged = |problem| Error::Artifact {
            path: path.to_owned(),
            format: FORMAT,
            problem,
        };
        model_file::check(&text).map_err(damaged)?;
        let threads = settings.threads.max(1);
        let workers = match settings.doubles {
            false => Workers::load(&text, threads).map(TypedWorkers::Floats),
            true => Workers::load(&text, threads).map(TypedWorkers::Doubles),
        };
        Ok(Lgbm {
            workers: workers.map_err(damaged)?,
            float32_loss: (!settings.doubles).then(|| float32::loss(&text)).flatten(),
            settings: Settings {
                threads,
                ..settings
            },
        })
    }

    /// Describes the precision lost because inputs are floats: the first feature with a threshold,
    /// a category or a linear leaf that needs more digits than float32 has. `None` if nothing is
    /// lost or inputs are doubles.
    pub fn float32_loss(&self) -> Option<&str> {
        self.float32_loss.as_deref()
    }

    /// Returns LightGBM's float64 scores of one row of features. A model with float inputs first
    /// rounds the row to float32; only [`predict`](Model::predict) also rounds the scores.
    ///
    /// # Errors
    /// If the row has another number of features.
    pub fn scores(&self, row: &[f64]) -> Result<Vec<f64>, PredictError> {
        let (width, given) = (self.width(), row.len());
        if given != width {
            return Err(PredictError(format!(
                "a row has {width} features, this one has {given}"
            )));
        }
        match &self.workers {
            TypedWorkers::Floats(workers) => {
                let row: Vec<f32> = row.iter().map(|&value| value as f32).collect();
                workers.scores(&row)
            }
            TypedWorkers::Doubles(workers) => workers.scores(row),
        }
    }

    /// Returns the number of features of one row.
    fn width(&self) -> usize {
        match &self.workers {
            TypedWorkers::Floats(workers) => workers.width(),
            TypedWorkers::Doubles(workers) => workers.width(),
        }
    }
}

impl Model for Lgbm {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            engine: "lightgbm".into(),
            device: "cpu".into(),
            threads: self.settings.threads,
            output_type: match self.settings.doubles {
                false => DataType::Floats,
                true => DataType::Doubles,
            },
            input_shape: vec![self.width()],
            max_batch: None,
            artifact: self.settings.artifact.clone(),
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        match &self.workers {
            TypedWorkers::Floats(workers) => workers.predict(batch),
            TypedWorkers::Doubles(workers) => workers.predict(batch),
        }
    }
}
