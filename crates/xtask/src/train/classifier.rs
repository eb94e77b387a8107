//! The classifiers that can be trained.

use std::{path::Path, thread};

use model::{DataType, Model};
use ndarray::ArrayView2;

use super::{examples::Examples, files::Files};

/// A model that is trained on features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Classifier {
    /// Kernel PCA and SVM, on VGG features
    Svm,
    /// LightGBM, on Inception features
    Lgbm,
}

impl Classifier {
    pub(crate) const ALL: [Classifier; 2] = [Classifier::Svm, Classifier::Lgbm];

    /// Name of the model server.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Classifier::Svm => "svm",
            Classifier::Lgbm => "lgbm",
        }
    }

    /// The artifact's file name.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Classifier::Svm => "svm.safetensors",
            Classifier::Lgbm => "lgbm.txt",
        }
    }

    /// The file name of the network that computes its features.
    pub(crate) fn network(self) -> &'static str {
        match self {
            Classifier::Svm => "vgg.onnx",
            Classifier::Lgbm => "inception.onnx",
        }
    }

    /// The files of this classifier in `dir`.
    pub(crate) fn files(self, dir: &Path) -> Files {
        let named = |name: String| dir.join(name);
        Files {
            artifact: named(self.file().to_owned()),
            metadata: named(format!("{}.json", self.file())),
            inputs: named(format!("{}.npy", self.name())),
            labels: named(format!("{}.labels.txt", self.name())),
        }
    }

    /// Loads the network at `path`, for picture files on all cores.
    pub(crate) fn load_network(self, path: &Path) -> anyhow::Result<Box<dyn Model>> {
        let settings = featurizer::Settings {
            data_type: DataType::Strings,
            threads: cores(),
            ..featurizer::Settings::default()
        };
        Ok(Box::new(match self {
            Classifier::Svm => vgg::load(path, settings)?,
            Classifier::Lgbm => inception::load(path, settings)?,
        }))
    }

    /// Trains on the examples, writes the artifact to `path` and returns the name of the method.
    pub(crate) fn fit(
        self,
        examples: &Examples,
        classes: &[String],
        path: &Path,
    ) -> anyhow::Result<String> {
        let Examples { features, labels } = examples;
        match self {
            Classifier::Svm => {
                let training = svm::Training::default();
                let features = ArrayView2::from_shape((labels.len(), examples.width()), features)?;
                svm::train(features, labels, classes, &training)?.save(path)?;
                let components = training.components;
                Ok(format!(
                    "kernel PCA (at most {components} components) + SVM"
                ))
            }
            Classifier::Lgbm => {
                lgbm::train(features, labels, classes.len(), path)?;
                Ok("LightGBM".to_owned())
            }
        }
    }

    /// Loads the artifact at `path`, as its model server does.
    pub(crate) fn load(self, path: &Path) -> anyhow::Result<Box<dyn Model>> {
        let model: Box<dyn Model> = match self {
            Classifier::Svm => Box::new(svm::Svm::load(
                path,
                svm::Settings {
                    threads: cores(),
                    ..Default::default()
                },
            )?),
            Classifier::Lgbm => Box::new(lgbm::Lgbm::load(
                path,
                lgbm::Settings {
                    threads: cores(),
                    ..Default::default()
                },
            )?),
        };
        Ok(model)
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
