//! The vgg model server.

use std::process::ExitCode;

use container::{Server, artifact_beside};
use featurizer::{Flags, Settings};
use model::DataType;

const SERVER: Server = Server {
    name: "vgg",
    version: env!("CARGO_PKG_VERSION"),
    about: "VGG-16: 4,096 features (fc7 after its ReLU) of a picture of 224x224 pixels",
    input_type: DataType::Floats,
    artifact: Some("vgg.onnx"),
};

fn main() -> ExitCode {
    container::main(SERVER, |told, flags: Flags| {
        let settings = Settings {
            data_type: told.input_type,
            device: told.device,
            gpu_mem_frac: told.gpu_mem_frac,
            threads: told.threads,
            artifact: artifact_beside(&told.model_path)?,
            flags,
        };
        Ok(vgg::load(&told.model_path, settings)?)
    })
}
