//! The inception model server.

use std::process::ExitCode;

use container::{Server, artifact_beside};
use featurizer::{Flags, Settings};
use model::DataType;

const SERVER: Server = Server {
    name: "inception",
    version: env!("CARGO_PKG_VERSION"),
    about: "Inception V3: 2,048 pooled features of a JPEG or PNG picture",
    input_type: DataType::Strings,
    artifact: Some("inception.onnx"),
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
        Ok(inception::load(&told.model_path, settings)?)
    })
}
