//! The svm model server: features -> RBF kernel PCA -> multi-class SVM -> label.
//!
//! An input has one float per feature of the artifact's training points (4,096 from `vgg`), or one
//! double if the settings say so. The output is a label. Both stages are sums of kernels (module
//! `kernel`), computed for a whole batch by matrix product.

mod artifact;
mod error;
mod float32;
#[cfg(fuzzing)]
pub mod fuzzing;
mod kernel;
mod pipeline;
mod products;
#[cfg(test)]
mod reference;
mod svc;
#[cfg(feature = "train")]
mod train;

#[cfg(feature = "train")]
pub use train::{Trained, Training, train};

use std::path::Path;

pub use error::Error;
pub use model::ClassifierSettings as Settings;
use model::{Batch, DataType, Model, ModelInfo, Output, PredictError, Predictions};
use rayon::{ThreadPool, ThreadPoolBuilder};

use artifact::Contents;
use pipeline::Pipeline;

/// A trained classifier that predicts batches.
pub struct Svm {
    pipeline: TypedPipeline,
    labels: Vec<String>,
    threads: ThreadPool,
    artifact: Option<model::Artifact>,
    float32_loss: Option<String>,
}

/// The pipeline in the precision of its inputs.
enum TypedPipeline {
    Floats(Pipeline<f32>),
    Doubles(Pipeline<f64>),
}

impl Svm {
    /// Loads the artifact at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is not an svm artifact or needs doubles, or the threads cannot
    /// be started.
    pub fn load(path: &Path, settings: Settings) -> Result<Svm, Error> {
        let contents = Contents::load(path)?;
        if let (false, Some(array)) = (settings.doubles, float32::overflow(&contents)) {
            return Err(Error::Float32(path.to_owned(), array));
        }
        let threads = ThreadPoolBuilder::new()
            .num_threads(settings.threads.max(1))
            .build()
            .map_err(|error| Error::Threads(settings.threads, error))?;
        let pipeline = threads.install(|| match settings.doubles {
            false => TypedPipeline::Floats(Pipeline::new(&contents)),
            true => TypedPipeline::Doubles(Pipeline::new(&contents)),
        });
        Ok(Svm {
            pipeline,
            float32_loss: (!settings.doubles)
                .then(|| float32::loss(&contents.pca))
                .flatten(),
            labels: contents.labels,
            threads,
            artifact: settings.artifact,
        })
    }

    /// Describes the precision lost because inputs are floats; `None` if nothing is lost or inputs
    /// are doubles.
    pub fn float32_loss(&self) -> Option<&str> {
        self.float32_loss.as_deref()
    }
}

impl Model for Svm {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            engine: "ndarray".into(),
            device: "cpu".into(),
            threads: self.threads.current_num_threads(),
            output_type: DataType::Strings,
            input_shape: vec![match &self.pipeline {
                TypedPipeline::Floats(pipeline) => pipeline.width(),
                TypedPipeline::Doubles(pipeline) => pipeline.width(),
            }],
            max_batch: None,
            artifact: self.artifact.clone(),
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        let classes = match &self.pipeline {
            TypedPipeline::Floats(pipeline) => pipeline.classify(batch, &self.threads),
            TypedPipeline::Doubles(pipeline) => pipeline.classify(batch, &self.threads),
        };
        let label = |class: usize| Output::Text(self.labels[class].clone());
        Ok(classes.into_iter().map(|class| class.map(label)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::SklearnReference;

    /// Returns the predictions for the reference's new points.
    fn answers(artifact: &str) -> Predictions {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let mut model = Svm::load(&folder.join(artifact), Settings::default()).unwrap();
        let points = SklearnReference::load().points("new");
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
    fn exported_pipelines_predict_scikit_learns_labels() {
        // scikit-learn sorts class names.
        let names = ["ash", "elm", "fir", "oak", "yew"].as_slice();
        for (artifact, labels, names) in [
            ("exported.safetensors", "exported_labels", names),
            ("exported_binary.safetensors", "binary_labels", &["0", "1"]),
        ] {
            let theirs = SklearnReference::load().labels(labels);
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
