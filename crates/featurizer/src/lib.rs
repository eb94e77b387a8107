//! Images to features: the only crate that knows the inference engines.
//!
//! A [`Featurizer`] is a [`Model`] made of three things: an [`Architecture`] (constants of the model server), an
//! artifact (an ONNX file) and [`Settings`] (what the replica was given); together they make a [`Network`]. A batch goes
//! through [`pictures`], which writes every picture straight into its row of the input tensor, and then through an
//! [`Engine`], in one call, or in several where [`batching`] found that the network takes fewer pictures.

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
pub use engine::{Engine, EngineError, EngineKind, EngineOutput, Resources};
pub use error::Error;
pub use network::{Architecture, Layout, Network, NetworkOptions, Port, Scaling, Size};

use batching::Batching;
use pictures::Pictures;

/// What a replica was given.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The type of the inputs: floats (pixels) or strings (base64 of a JPEG or PNG file).
    pub data_type: DataType,
    /// Where the network is computed.
    pub device: Device,
    /// The share of the GPU's memory that may be taken, above 0 and at most 1.
    pub gpu_mem_frac: f32,
    /// Threads that decode the pictures of one batch, and then compute it.
    pub threads: usize,
    /// What the metadata file beside the artifact says; passed on in [`ModelInfo`].
    pub artifact: Option<Artifact>,
    /// The engine, and what is said of the network.
    pub flags: Flags,
}

impl Default for Settings {
    /// Pixels as floats, on one CPU thread, by ONNX Runtime.
    fn default() -> Settings {
        Settings {
            data_type: DataType::Floats,
            device: Device::Cpu,
            gpu_mem_frac: 1.0,
            threads: 1,
            artifact: None,
            flags: Flags::default(),
        }
    }
}

/// The flags that a model server with a featurizer has beside those of every model server.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// What computes the network
    #[arg(long, env = "CLIPPER_ENGINE", value_enum, default_value_t)]
    pub engine: EngineKind,
    /// What the network takes and answers.
    #[command(flatten)]
    pub network: NetworkOptions,
}

/// Computes the features of pictures.
///
/// An input is either `height x width x 3` floats, channels last, RGB, 0 to 255, or the base64 of a JPEG or PNG file of
/// any size, which is resized and cut out as the network wants it. An output is as many floats as the network answers.
pub struct Featurizer {
    network: Network,
    batching: Batching,
    settings: Settings,
    pictures: Pictures,
    engine: Box<dyn Engine>,
    /// The input of the engine, one picture after the other; kept between calls, as long as the longest batch so far.
    tensor: Vec<f32>,
}

impl Featurizer {
    /// Loads the ONNX file at `path`, which takes pictures and answers float32, and tries it on a few pictures. Logs
    /// a warning if it can only be served one picture a call.
    ///
    /// # Errors
    /// If the file or its metadata cannot be read, its network does not take pictures, or the engine cannot compute it.
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
        let resources = Resources {
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
        let output = output.expect("the output was chosen among these");
        let found = batching::find(engine.as_mut(), &network, output);
        let found = found.map_err(|reason| match settings.device {
            Device::Cuda(gpu) if engine::is_about_gpu(&reason) => Error::Gpu {
                gpu,
                reason: engine::explain_gpu(&reason),
            },
            _ => unfit(reason),
        })?;
        if let Some(why) = found.why_single {
            tracing::warn!(
                "{} is served one picture a call, as its output is not proven to be one row for each picture: {why}",
                path.display()
            );
        }
        Ok(Featurizer {
            pictures: Pictures::new(&network, settings.data_type, settings.threads),
            batching: found.batching,
            network,
            engine,
            tensor: Vec::new(),
            settings,
        })
    }

    /// The engine alone, and the network that it computes: what every prediction is held against in a bench.
    pub fn engine(&mut self) -> (&mut dyn Engine, &Network) {
        (self.engine.as_mut(), &self.network)
    }

    /// The outputs for the first `good` rows of the tensor.
    fn features(&mut self, good: usize) -> Result<Vec<Output>, PredictError> {
        let values = self.network.values();
        // A network that takes no other number of pictures gets it, filled up with whatever is there.
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
            // A larger batch would be computed picture by picture: batches of one show it as it is.
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
        let good = close_gaps(&read, values, &mut self.tensor);
        let mut outputs = self.features(good)?.into_iter();
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
    use super::*;

    #[test]
    fn good_rows_move_up_in_their_order() {
        let bad = || Err(InputError("bad".into()));
        let mut tensor = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0];
        let good = close_gaps(&[bad(), Ok(()), bad(), Ok(())], 2, &mut tensor);
        assert_eq!(tensor[..2 * good], [1.0, 1.0, 3.0, 3.0]);
    }
}
