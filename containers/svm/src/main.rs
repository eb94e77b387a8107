//! The svm model server.

use std::process::ExitCode;

use container::{Server, artifact_beside};
use model::DataType;
use svm::{Settings, Svm};

const SERVER: Server = Server {
    name: "svm",
    version: env!("CARGO_PKG_VERSION"),
    about: "Kernel PCA and SVM: the label of 4,096 VGG features",
    input_type: DataType::Floats,
    artifact: Some("svm.safetensors"),
};

fn main() -> ExitCode {
    container::main(SERVER, |told, ()| {
        told.require_numbers_on_cpu()?;
        let settings = Settings {
            threads: told.threads,
            doubles: told.input_type == DataType::Doubles,
            artifact: artifact_beside(&told.model_path)?,
        };
        let model = Svm::load(&told.model_path, settings)?;
        if let Some(loss) = model.float32_loss() {
            told.warn_of_float32(loss);
        }
        Ok(model)
    })
}
