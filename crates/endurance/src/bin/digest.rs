//! A model server that answers each input with its digest, which identifies the query.

use std::process::ExitCode;

use container::ServerSettings;
use endurance::workload::digest;
use model::{Batch, DataType, Model, ModelInfo, Output, PredictError, Predictions};

const SERVER: ServerSettings = ServerSettings {
    name: "digest",
    version: env!("CARGO_PKG_VERSION"),
    about: "Answers every input with its digest, so that tests detect swapped answers",
    input_type: DataType::Ints,
    artifact: None,
};

struct Digest;

impl Model for Digest {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            engine: "none".into(),
            device: "cpu".into(),
            threads: 1,
            output_type: DataType::Ints,
            ..ModelInfo::default()
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        let inputs = batch.inputs.iter();
        Ok(inputs
            .map(|input| Ok(Output::Ints(digest(input).into())))
            .collect())
    }
}

fn main() -> ExitCode {
    container::main(SERVER, |_, ()| Ok(Digest))
}
