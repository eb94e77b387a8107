//! Images to features: the only crate that knows the inference engines.
//!
//! A [`Featurizer`] is a [`Model`] made of three things: an [`Architecture`] (constants of the model server), an
//! artifact (an ONNX file) and [`Settings`] (what the replica was given). A batch goes through [`pictures`], which
//! writes every picture straight into its row of the input tensor, and then through [`engine`], in one call.

mod engine;
mod error;
mod pictures;

use std::path::Path;

use model::{
    Artifact, Batch, DataType, Device, InputError, Model, ModelInfo, PredictError, Predictions,
};

pub use error::Error;
pub use pictures::Scaling;

use engine::Engine;
use pictures::Pictures;

/// A convolutional network without its last layer: what goes in and what comes out.
#[derive(Debug)]
pub struct Architecture {
    /// The name of the model server.
    pub name: &'static str,
    /// Width and height of the pictures that the network takes, in pixels.
    pub side: usize,
    /// Number of features per picture.
    pub features: usize,
    /// What the network expects of the values of a pixel.
    pub scaling: Scaling,
}

impl Architecture {
    /// Values of one picture: three per pixel.
    fn values(&self) -> usize {
        3 * self.side * self.side
    }
}

/// What a replica was given.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The type of the inputs: floats (pixels) or strings (base64 of a JPEG or PNG file).
    pub data_type: DataType,
    /// Where the network is computed.
    pub device: Device,
    /// Threads that decode the pictures of one batch, and then compute it.
    pub threads: usize,
    /// What the metadata file beside the artifact says; passed on in [`ModelInfo`].
    pub artifact: Option<Artifact>,
}

/// Computes the features of pictures.
///
/// An input is either `side x side x 3` floats, channels last, RGB, 0 to 255, or the base64 of a JPEG or PNG file of
/// any size, which is resized to `side x side` as a whole. An output is `features` floats.
pub struct Featurizer {
    architecture: &'static Architecture,
    settings: Settings,
    pictures: Pictures,
    engine: Engine,
    /// The input of the engine, `[inputs, 3, side, side]`; kept between calls, as long as the longest batch so far.
    tensor: Vec<f32>,
}

impl Featurizer {
    /// Loads the ONNX model at `path`: one input `[N, 3, side, side]`, one output `[N, features]`, float32.
    pub fn load(
        architecture: &'static Architecture,
        path: &Path,
        mut settings: Settings,
    ) -> Result<Featurizer, Error> {
        settings.threads = settings.threads.max(1);
        if !matches!(settings.data_type, DataType::Floats | DataType::Strings) {
            return Err(Error::InputType {
                model: architecture.name,
                data_type: settings.data_type,
            });
        }
        if settings.device != Device::Cpu {
            return Err(Error::Device(settings.device));
        }
        Ok(Featurizer {
            architecture,
            pictures: Pictures::new(architecture, settings.data_type, settings.threads),
            engine: Engine::load(architecture, path, settings.threads)?,
            tensor: Vec::new(),
            settings,
        })
    }
}

impl Model for Featurizer {
    fn info(&self) -> ModelInfo {
        let side = self.architecture.side;
        ModelInfo {
            engine: self.engine.version(),
            device: self.settings.device.to_string(),
            threads: self.settings.threads,
            output_type: DataType::Floats,
            input_shape: match self.settings.data_type {
                DataType::Floats => vec![side, side, 3],
                _ => Vec::new(),
            },
            max_batch: None,
            artifact: self.settings.artifact.clone(),
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        let values = self.architecture.values();
        let length = self.tensor.len().max(batch.len() * values);
        self.tensor.resize(length, 0.0);
        let read = self.pictures.read(batch, &mut self.tensor);
        let good = close_gaps(&read, values, &mut self.tensor);
        let outputs = self.engine.run(&self.tensor[..good * values]);
        let outputs =
            outputs.map_err(|error| PredictError(format!("onnxruntime failed: {error}")))?;
        if outputs.len() != good {
            let error = format!(
                "the artifact answered {good} inputs with {} outputs",
                outputs.len()
            );
            return Err(PredictError(error));
        }
        let mut outputs = outputs.into_iter();
        Ok(read
            .into_iter()
            .map(|read| read.map(|()| outputs.next().expect("as many as good inputs")))
            .collect())
    }
}

/// Moves the rows of good inputs to the front, in their order, and says how many they are.
fn close_gaps(read: &[Result<(), InputError>], values: usize, tensor: &mut [f32]) -> usize {
    let mut good = 0;
    for (row, _) in read.iter().enumerate().filter(|(_, read)| read.is_ok()) {
        if row != good {
            tensor.copy_within(row * values..(row + 1) * values, good * values);
        }
        good += 1;
    }
    good
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    static TINY: Architecture = Architecture {
        name: "tiny",
        side: 2,
        features: 1,
        scaling: Scaling {
            mean: [0.0; 3],
            std: [1.0; 3],
        },
    };

    fn failure(path: &Path, data_type: DataType, device: Device) -> String {
        let settings = Settings {
            data_type,
            device,
            threads: 1,
            artifact: None,
        };
        let loaded = Featurizer::load(&TINY, path, settings);
        loaded.err().expect("this does not load").to_string()
    }

    #[test]
    fn a_missing_artifact_is_named_with_the_command_that_makes_it() {
        let error = failure(Path::new("no/tiny.onnx"), DataType::Floats, Device::Cpu);
        assert!(error.contains("no/tiny.onnx is missing"), "{error}");
        assert!(error.contains("xtask -- artifacts"), "{error}");
        assert!(error.contains("CLIPPER_MODEL_PATH"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_onnx_model_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "not a model").unwrap();
        let error = failure(file.path(), DataType::Floats, Device::Cpu);
        assert!(error.contains("is not an ONNX model"), "{error}");
    }

    #[test]
    fn a_gpu_is_refused_rather_than_replaced_by_the_cpu() {
        let error = failure(Path::new("x"), DataType::Floats, Device::Cuda(1));
        assert!(
            error.contains("runs on CPU only, so not on cuda:1"),
            "{error}"
        );
    }

    #[test]
    fn an_input_type_that_holds_no_picture_is_refused() {
        let error = failure(Path::new("x"), DataType::Ints, Device::Cpu);
        assert!(error.contains("floats or strings, not integers"), "{error}");
    }

    #[test]
    fn good_rows_move_up_in_their_order() {
        let bad = || Err(InputError("bad".into()));
        let mut tensor = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0];
        let good = close_gaps(&[bad(), Ok(()), bad(), Ok(())], 2, &mut tensor);
        assert_eq!(tensor[..2 * good], [1.0, 1.0, 3.0, 3.0]);
    }
}
