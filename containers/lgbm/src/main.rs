//! The lgbm model server.

use std::process::ExitCode;

use container::{ServerSettings, artifact_beside};
use lgbm::{Lgbm, Settings};
use model::DataType;

const SERVER: ServerSettings = ServerSettings {
    name: "lgbm",
    version: env!("CARGO_PKG_VERSION"),
    about: "LightGBM: class scores from 2,048 Inception features",
    input_type: DataType::Floats,
    artifact: Some("lgbm.txt"),
};

fn main() -> ExitCode {
    container::main(SERVER, |common, ()| {
        common.require_numbers_on_cpu()?;
        let settings = Settings {
            threads: common.threads,
            doubles: common.input_type == DataType::Doubles,
            artifact: artifact_beside(&common.model_path)?,
        };
        let model = Lgbm::load(&common.model_path, settings)?;
        if let Some(loss) = model.float32_loss() {
            common.warn_about_float32(loss);
        }
        Ok(model)
    })
}
