//! The svm model server: features -> RBF kernel PCA -> multi-class SVM -> label.
//!
//! An input is as many floats as the artifact's training points have features (4,096 from `vgg`), or doubles if that is
//! asked for, the output a label. Both stages are sums of kernels ([`kernel`]), computed for a whole batch by matrix
//! product.

mod artifact;
mod classifier;
mod error;
mod float32;
#[cfg(fuzzing)]
pub mod fuzzing;
mod kernel;
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
use classifier::Classifier;

/// A trained classifier that answers batches.
pub struct Svm {
    classifier: Served,
    labels: Vec<String>,
    threads: ThreadPool,
    artifact: Option<model::Artifact>,
    float32_loss: Option<String>,
}

/// The classifier in the precision of its inputs.
enum Served {
    Floats(Classifier<f32>),
    Doubles(Classifier<f64>),
}

impl Svm {
    /// Loads the artifact at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is no svm artifact or needs doubles, or the threads cannot be started.
    pub fn load(path: &Path, settings: Settings) -> Result<Svm, Error> {
        let contents = Contents::load(path)?;
        if let (false, Some(array)) = (settings.doubles, float32::beyond(&contents)) {
            return Err(Error::Float32(path.to_owned(), array));
        }
        let threads = ThreadPoolBuilder::new()
            .num_threads(settings.threads.max(1))
            .build()
            .map_err(|error| Error::Threads(settings.threads, error))?;
        let classifier = threads.install(|| match settings.doubles {
            false => Served::Floats(Classifier::new(&contents)),
            true => Served::Doubles(Classifier::new(&contents)),
        });
        Ok(Svm {
            classifier,
            float32_loss: (!settings.doubles)
                .then(|| float32::loss(&contents.pca))
                .flatten(),
            labels: contents.labels,
            threads,
            artifact: settings.artifact,
        })
    }

    /// What is lost because the inputs are floats, in words; `None` if nothing is, or the inputs are doubles.
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
            input_shape: vec![match &self.classifier {
                Served::Floats(classifier) => classifier.width(),
                Served::Doubles(classifier) => classifier.width(),
            }],
            max_batch: None,
            artifact: self.artifact.clone(),
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        let classes = match &self.classifier {
            Served::Floats(classifier) => classifier.classify(batch, &self.threads),
            Served::Doubles(classifier) => classifier.classify(batch, &self.threads),
        };
        let label = |class: usize| Output::Text(self.labels[class].clone());
        Ok(classes.into_iter().map(|class| class.map(label)).collect())
    }
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
