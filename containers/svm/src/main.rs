//! The svm model server.

use std::process::ExitCode;

use container::{ServerSettings, artifact_beside};
use model::DataType;
use svm::{Settings, Svm};

const SERVER: ServerSettings = ServerSettings {
    name: "svm",
    version: env!("CARGO_PKG_VERSION"),
    about: "Kernel PCA and SVM: a class label from 4,096 VGG features",
    input_type: DataType::Floats,
    artifact: Some("svm.safetensors"),
};

fn main() -> ExitCode {
    container::main(SERVER, |common, ()| {
        common.require_numbers_on_cpu()?;
        let settings = Settings {
            threads: common.threads,
            doubles: common.input_type == DataType::Doubles,
            artifact: artifact_beside(&common.model_path)?,
        };
        let model = Svm::load(&common.model_path, settings)?;
        if let Some(loss) = model.float32_loss() {
            common.warn_about_float32(loss);
        }
        Ok(model)
    })
}
