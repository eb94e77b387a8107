//! The svm model server: features -> RBF kernel PCA -> multi-class SVM -> label.
//!
//! An input is as many floats as the artifact's training points have features (4,096 from `vgg`), the output a
//! label. Both stages are sums of kernels ([`kernel`]), computed for a whole batch by matrix product.

mod artifact;
#[cfg(fuzzing)]
pub mod fuzzing;
mod kernel;
mod kernel_pca;
mod products;
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
use ndarray::Array2;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use artifact::Contents;
use kernel::KernelSum;

/// A trained classifier that answers batches.
pub struct Svm {
    pca: KernelSum<f32>,
    svm: KernelSum<f32>,
    labels: Vec<String>,
    threads: ThreadPool,
    artifact: Option<model::Artifact>,
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
    /// The threads for a batch could not be started.
    #[error("{0} threads for a batch cannot be started: {1}; ask for fewer")]
    Threads(usize, ThreadPoolBuildError),
    /// The examples cannot be learnt from.
    #[error("training: {0}")]
    Training(String),
}

impl Svm {
    /// Loads the artifact at `path`.
    pub fn load(path: &Path, settings: Settings) -> Result<Svm, Error> {
        let Contents { pca, svm, labels } = Contents::load(path)?;
        let threads = ThreadPoolBuilder::new()
            .num_threads(settings.threads.max(1))
            .build()
            .map_err(|error| Error::Threads(settings.threads, error))?;
        let (pca, svm) = threads.install(|| (KernelSum::new(pca), KernelSum::new(svm)));
        Ok(Svm {
            pca,
            svm,
            labels,
            threads,
            artifact: settings.artifact,
        })
    }

    /// The label of every row of `inputs` (inputs x features); `None` where the arithmetic breaks down.
    fn classify(&self, inputs: Array2<f32>) -> Vec<Option<&str>> {
        let decisions = self
            .threads
            .install(|| self.svm.apply(self.pca.apply(inputs)));
        let rows = decisions.rows().into_iter();
        rows.map(|row| {
            let is_number = !row.iter().any(|decision| decision.is_nan());
            is_number.then(|| self.labels[svc::vote(row, self.labels.len())].as_str())
        })
        .collect()
    }
}

impl Model for Svm {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            engine: "ndarray".into(),
            device: "cpu".into(),
            threads: self.threads.current_num_threads(),
            output_type: DataType::Strings,
            input_shape: vec![self.pca.width()],
            max_batch: None,
            artifact: self.artifact.clone(),
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        let width = self.pca.width();
        let mut inputs = Array2::zeros((batch.len(), width));
        let rows = inputs.rows_mut().into_iter().enumerate();
        let checks: Vec<_> = rows
            .map(|(index, row)| {
                batch.copy_floats(index, row.into_slice().expect("rows are contiguous"))
            })
            .collect();
        // Rows are independent: what a refused one holds reaches no other.
        let labels = self.classify(inputs);
        let answers = checks.into_iter().zip(labels).enumerate();
        Ok(answers
            .map(|(index, (check, label))| match (check, label) {
                (Ok(()), Some(label)) => Ok(Output::Text(label.to_owned())),
                (Ok(()), None) => Err(refusal(batch, index, width)),
                (Err(error), _) => Err(error),
            })
            .collect())
    }
}

/// Why an input of the right length has no label: what it holds is not finite, or its squares overflow.
fn refusal(batch: &Batch<'_>, index: usize, width: usize) -> InputError {
    let mut row = vec![0.0_f32; width];
    if let Err(error) = batch.copy_floats(index, &mut row) {
        return error;
    }
    let sizes = row.iter().map(|value| value.abs()).enumerate();
    // NaN is the largest in this order.
    let worst = sizes.max_by(|a, b| a.1.total_cmp(&b.1));
    let at = worst.map_or(0, |(at, _)| at);
    InputError(format!(
        "value {at} is {}: values must be numbers whose squares can be summed in float32",
        row[at]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Reference;

    /// The answers to the reference's new points.
    fn answers(artifact: &str) -> Predictions {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut model = Svm::load(&folder.join(artifact), Settings::default()).unwrap();
        let points = Reference::load().points("new");
        let bytes = |value: &f64| (*value as f32).to_le_bytes();
        let rows = points.rows().into_iter();
        let inputs: Vec<Vec<u8>> = rows
            .map(|row| row.iter().flat_map(bytes).collect())
            .collect();
        let batch = Batch {
            data_type: DataType::Floats,
            inputs: inputs.iter().map(Vec::as_slice).collect(),
        };
        model.predict(&batch).unwrap()
    }

    #[test]
    fn a_pipeline_from_scikit_learn_predicts_the_same_labels() {
        // scikit-learn sorts the names of the classes.
        let names = ["ash", "elm", "fir", "oak", "yew"].as_slice();
        for (artifact, labels, names) in [
            ("exported.safetensors", "exported_labels", names),
            ("exported_binary.safetensors", "binary_labels", &["0", "1"]),
        ] {
            let theirs = Reference::load().labels(labels);
            let theirs = theirs
                .iter()
                .map(|&class| Output::Text(names[class].into()));
            let pairs = answers(artifact).into_iter().zip(theirs);
            let other: Vec<_> = pairs
                .filter(|(ours, theirs)| ours.as_ref() != Ok(theirs))
                .collect();
            assert_eq!(other, [], "{artifact}");
        }
    }
}
