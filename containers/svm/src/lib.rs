//! The svm model server: features -> RBF kernel PCA -> multi-class SVM -> label.
//!
//! An input is as many floats as the artifact's training points have features (4,096 from `vgg`), the output a
//! label. Both stages are sums of kernels ([`kernel`]), computed for a whole batch by matrix product.

mod artifact;
mod kernel;
mod kernel_pca;
#[cfg(test)]
mod reference;
mod svc;
mod train;

pub use train::{Trained, Training, train};

use std::{
    io,
    path::{Path, PathBuf},
};

use model::{Batch, DataType, InputError, Model, ModelInfo, Output, PredictError, Predictions};
use ndarray::{Array2, ArrayView2};

use artifact::Contents;
use kernel::KernelSum;

/// A trained classifier that answers batches.
pub struct Svm {
    pca: KernelSum<f32>,
    svm: KernelSum<f32>,
    labels: Vec<String>,
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

/// Why a classifier could not be loaded, trained or saved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no artifact.
    #[error(
        "there is no svm artifact at {}: make it with `cargo run --release -p xtask -- artifacts`, \
         or name another with CLIPPER_MODEL_PATH",
        .0.display()
    )]
    Missing(PathBuf),
    /// The artifact could not be read or written.
    #[error("{}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
    /// The file is no svm artifact, or a damaged one.
    #[error(
        "{} is no svm artifact: {}; make it anew with `cargo run --release -p xtask -- artifacts --force`, \
         or name another with CLIPPER_MODEL_PATH",
        .0.display(), .1
    )]
    Artifact(PathBuf, String),
    /// The examples cannot be learnt from.
    #[error("training: {0}")]
    Training(String),
}

impl Svm {
    /// Loads the artifact at `path`.
    pub fn load(path: &Path, settings: Settings) -> Result<Svm, Error> {
        Ok(Svm::new(Contents::load(path)?, settings))
    }

    fn new(contents: Contents, settings: Settings) -> Svm {
        Svm {
            pca: KernelSum::new(contents.pca),
            svm: KernelSum::new(contents.svm),
            labels: contents.labels,
            settings,
        }
    }

    /// The label of every row of `inputs` (inputs x features).
    fn classify(&self, inputs: ArrayView2<f32>) -> Vec<&str> {
        let projections = self.pca.apply(inputs, self.threads());
        // A thousandth of the work of the first stage: threads would cost more than they save.
        let decisions = self.svm.apply(projections.view(), 1);
        let rows = decisions.rows().into_iter();
        rows.map(|row| self.labels[svc::vote(row, self.labels.len())].as_str())
            .collect()
    }

    fn threads(&self) -> usize {
        self.settings.threads.max(1)
    }
}

impl Model for Svm {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            engine: "ndarray".into(),
            device: "cpu".into(),
            threads: self.threads(),
            output_type: DataType::Strings,
            input_shape: vec![self.pca.width()],
            max_batch: None,
            artifact: self.settings.artifact.clone(),
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        let mut inputs = Array2::zeros((batch.len(), self.pca.width()));
        let rows = inputs.rows_mut().into_iter().enumerate();
        let checks: Vec<_> = rows
            .map(|(index, row)| copy(batch, index, row.into_slice().expect("rows are contiguous")))
            .collect();
        // Rows are independent: what a refused one holds reaches no other.
        let labels = self.classify(inputs.view());
        let answers = checks.into_iter().zip(labels);
        Ok(answers
            .map(|(check, label)| check.map(|()| Output::Text(label.to_owned())))
            .collect())
    }
}

/// Copies an input into its row, if every value can be computed with: its square must not overflow.
fn copy(batch: &Batch<'_>, index: usize, row: &mut [f32]) -> Result<(), InputError> {
    const LARGEST: f32 = 1e15;
    batch.copy_floats(index, row)?;
    match row
        .iter()
        .position(|value| value.is_nan() || value.abs() > LARGEST)
    {
        None => Ok(()),
        Some(at) => Err(InputError(format!(
            "value {at} is {}: values must be numbers of at most {LARGEST:e}",
            row[at]
        ))),
    }
}
