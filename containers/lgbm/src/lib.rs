//! The lgbm model server: features -> LightGBM -> scores.
//!
//! An input is as many floats as the model has features (2,048 from `inception`), or doubles if that is asked for; NaN
//! stands for a missing value, as always in LightGBM. The output, of the same type, is a probability per class for a
//! multi-class model, one number for any other.

mod float32;
mod model_file;
mod train;
mod workers;

pub use train::train;

use std::{fs, path::Path};

use model::{Batch, DataType, Model, ModelInfo, PredictError, Predictions};
pub use model::{ClassifierError as Error, ClassifierSettings as Settings};
use workers::Workers;

/// A LightGBM model that answers batches. It stays on the thread that loads it.
pub struct Lgbm {
    workers: Served,
    settings: Settings,
    float32_loss: Option<String>,
}

/// The model in the precision of its inputs.
enum Served {
    Floats(Workers<f32>),
    Doubles(Workers<f64>),
}

/// The artifact's format, in words.
const FORMAT: &str = "LightGBM text model";

impl Lgbm {
    /// Loads the text model file at `path`, as LightGBM of any language saves it. Each thread has a model of its own in
    /// memory.
    ///
    /// # Errors
    /// If the file cannot be read or is no LightGBM model, or a thread cannot be started.
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
            false => Workers::load(&text, threads).map(Served::Floats),
            true => Workers::load(&text, threads).map(Served::Doubles),
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

    /// What is lost because the inputs are floats: the first feature of which a threshold, a category or a linear leaf
    /// needs more digits than float32 has. `None` if nothing is, or the inputs are doubles.
    pub fn float32_loss(&self) -> Option<&str> {
        self.float32_loss.as_deref()
    }

    /// What LightGBM computes for one row of features, in float64; a model that takes floats rounds the row to float32
    /// before, and [`predict`](Model::predict) rounds what it answers.
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
            Served::Floats(workers) => {
                let row: Vec<f32> = row.iter().map(|&value| value as f32).collect();
                workers.scores(&row)
            }
            Served::Doubles(workers) => workers.scores(row),
        }
    }

    /// Features of one row.
    fn width(&self) -> usize {
        match &self.workers {
            Served::Floats(workers) => workers.width(),
            Served::Doubles(workers) => workers.width(),
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
            Served::Floats(workers) => workers.predict(batch),
            Served::Doubles(workers) => workers.predict(batch),
        }
    }
}
