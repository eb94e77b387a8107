//! Computes features of pictures. The only crate that depends on the inference engines.
//!
//! A [`Featurizer`] is a [`Model`]. An [`Architecture`] (constants of the model server), an
//! artifact (an ONNX file) and [`Settings`] (of the replica) determine its [`Network`]. For each
//! batch, the module `pictures` writes every picture into its row of the input tensor. An
//! [`InferenceEngine`] then computes the tensor in one call, or in several if the module `batching`
//! found that the network takes fewer pictures.

mod batching;
mod channels;
mod engine;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod network;
mod pictures;

use std::path::Path;

use model::{
    Artifact, Batch, DataType, Device, InputError, Model, ModelInfo, Output, PredictError,
    Predictions,
};

pub use channels::Channels;
pub use engine::{ComputeResources, EngineError, EngineKind, EngineOutput, InferenceEngine};
pub use error::Error;
pub use network::{Architecture, Layout, Network, NetworkOptions, NetworkPort, Scaling, Size};

use batching::Batching;
use pictures::Preprocessor;

/// Settings of a replica.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The type of the inputs: floats (pixels) or strings (base64 of a JPEG or PNG file).
    pub data_type: DataType,
    /// Device that computes the network.
    pub device: Device,
    /// Share of the GPU's memory that the engine may use, above 0 and at most 1.
    pub gpu_mem_frac: f32,
    /// Threads that decode the pictures of one batch, and then compute it.
    pub threads: usize,
    /// Content of the artifact's metadata file; passed on in [`ModelInfo`].
    pub artifact: Option<Artifact>,
    /// The engine, and options of the network.
    pub flags: FeaturizerFlags,
}

impl Default for Settings {
    /// Returns settings for float pixels, one CPU thread and ONNX Runtime.
    fn default() -> Settings {
        Settings {
            data_type: DataType::Floats,
            device: Device::Cpu,
            gpu_mem_frac: 1.0,
            threads: 1,
            artifact: None,
            flags: FeaturizerFlags::default(),
        }
    }
}

/// Flags of a model server with a featurizer, beside those of every model server.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FeaturizerFlags {
    /// Inference engine that computes the network
    #[arg(long, env = "CLIPPER_ENGINE", value_enum, default_value_t)]
    pub engine: EngineKind,
    /// Input and output of the network.
    #[command(flatten)]
    pub network: NetworkOptions,
}

/// Computes the features of pictures.
///
/// An input is either `height x width x 3` floats (channels last, RGB, 0 to 255), or the base64 of
/// a JPEG or PNG file of any size, which is resized and cropped for the network. An output is the
/// network's output, as floats.
pub struct Featurizer {
    network: Network,
    batching: Batching,
    settings: Settings,
    pictures: Preprocessor,
    engine: Box<dyn InferenceEngine>,
    /// Input of the engine, `pictures x values`; kept between calls and as long as the longest
    /// batch.
    tensor: Vec<f32>,
}

impl Featurizer {
    /// Loads the ONNX file at `path`, whose input is pictures and whose output is float32, and
    /// computes a few sample pictures. Logs a warning if it must be served one picture per call.
    ///
    /// # Errors
    /// If the file or its metadata cannot be read, its input is not pictures, or the engine cannot
    /// compute it.
    pub fn load(
        architecture: &Architecture,
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
        let resources = ComputeResources {
            device: settings.device,
            gpu_mem_frac: settings.gpu_mem_frac,
            threads: settings.threads,
        };
        let mut engine = engine::load(settings.flags.engine, path, resources)?;
        let options = settings.flags.network.clone();
        let options = options.or(NetworkOptions::beside(path)?);
        let (inputs, outputs) = (engine.inputs(), engine.outputs());
        let unfit = |reason| Error::Network {
            path: path.to_owned(),
            model: architecture.name,
            reason,
        };
        let network = Network::resolve(architecture, &options, &inputs, &outputs).map_err(unfit)?;
        let output = outputs.iter().find(|port| port.name == network.output);
        let output = output.expect("the resolved output is one of the engine's outputs");
        let plan = batching::choose(engine.as_mut(), &network, output);
        let plan = plan.map_err(|reason| match settings.device {
            Device::Cuda(gpu) if engine::is_about_gpu(&reason) => Error::Gpu {
                gpu,
                reason: engine::explain_gpu(&reason),
            },
            _ => unfit(reason),
        })?;
        if let Some(reason) = plan.single_reason {
            tracing::warn!(
                "{} is served one picture per call, because its output may not be one row per picture: {reason}",
                path.display()
            );
        }
        Ok(Featurizer {
            pictures: Preprocessor::new(&network, settings.data_type, settings.threads),
            batching: plan.batching,
            network,
            engine,
            tensor: Vec::new(),
            settings,
        })
    }

    /// Returns the engine and the network that it computes, as the baseline of a benchmark.
    pub fn engine(&mut self) -> (&mut dyn InferenceEngine, &Network) {
        (self.engine.as_mut(), &self.network)
    }

    /// Computes the outputs of the first `good` rows of the tensor.
    fn features(&mut self, good: usize) -> Result<Vec<Output>, PredictError> {
        let values = self.network.values();
        // The last call of a fixed batch includes stale rows, whose outputs are dropped.
        let step = self.batching.pictures().unwrap_or(good);
        let mut outputs = Vec::with_capacity(good);
        while outputs.len() < good {
            let rows = &self.tensor[outputs.len() * values..][..step * values];
            let output = self.engine.run(&self.network, rows);
            let failed = |error: String| {
                let error = match self.settings.device {
                    Device::Cpu => error,
                    Device::Cuda(_) => engine::explain_gpu(&error),
                };
                PredictError(format!("{}: {error}", self.engine.version()))
            };
            let output = output.map_err(|EngineError(error)| failed(error))?;
            if self.batching == Batching::Single {
                outputs.push(Output::Floats(output.values));
                continue;
            }
            let rows = output.rows(step).map_err(failed)?;
            let rows = rows.take(good - outputs.len());
            outputs.extend(rows.map(|row| Output::Floats(row.to_vec())));
        }
        Ok(outputs)
    }
}

impl Model for Featurizer {
    fn info(&self) -> ModelInfo {
        let Network { height, width, .. } = self.network;
        ModelInfo {
            engine: self.engine.version(),
            device: self.settings.device.to_string(),
            threads: self.settings.threads,
            output_type: DataType::Floats,
            input_shape: match self.settings.data_type {
                DataType::Floats => vec![height, width, 3],
                _ => Vec::new(),
            },
            // A larger batch would be computed picture by picture.
            max_batch: (self.batching == Batching::Single).then_some(1),
            artifact: self.settings.artifact.clone(),
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        let values = self.network.values();
        let step = self.batching.pictures().unwrap_or(1);
        let rows = batch.len().next_multiple_of(step);
        let length = self.tensor.len().max(rows * values);
        self.tensor.resize(length, 0.0);
        let read = self.pictures.read(batch, &mut self.tensor);
        let good = compact_rows(&read, values, &mut self.tensor);
        let mut outputs = self.features(good)?.into_iter();
        Ok(read
            .into_iter()
            .map(|read| read.map(|()| outputs.next().expect("one output per good input")))
            .collect())
    }
}

/// Moves the rows of good inputs to the front, keeping their order, and returns their number.
fn compact_rows(read: &[Result<(), InputError>], values: usize, tensor: &mut [f32]) -> usize {
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
    use super::*;

    #[test]
    fn good_rows_move_to_the_front_in_order() {
        let bad = || Err(InputError("bad".into()));
        let mut tensor = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0];
        let good = compact_rows(&[bad(), Ok(()), bad(), Ok(())], 2, &mut tensor);
        assert_eq!(tensor[..2 * good], [1.0, 1.0, 3.0, 3.0]);
    }
}
