//! The lgbm model server.

use std::process::ExitCode;

use container::{Server, artifact_beside};
use lgbm::{Lgbm, Settings};
use model::DataType;

const SERVER: Server = Server {
    name: "lgbm",
    version: env!("CARGO_PKG_VERSION"),
    about: "LightGBM: the class scores of 2,048 Inception features",
    input_type: DataType::Floats,
    artifact: Some("lgbm.txt"),
};

fn main() -> ExitCode {
    container::main(SERVER, |told, ()| {
        told.require_numbers_on_cpu()?;
        let settings = Settings {
            threads: told.threads,
            doubles: told.input_type == DataType::Doubles,
            artifact: artifact_beside(&told.model_path)?,
        };
        let model = Lgbm::load(&told.model_path, settings)?;
        if let Some(loss) = model.float32_loss() {
            told.warn_of_float32(loss);
        }
        Ok(model)
    })
}
