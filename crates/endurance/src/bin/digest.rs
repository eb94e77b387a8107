//! A model server whose answers cannot be mistaken: each input is answered with its digest.

use std::process::ExitCode;

use container::Server;
use endurance::questions::digest;
use model::{Batch, DataType, Model, ModelInfo, Output, PredictError, Predictions};

const SERVER: Server = Server {
    name: "digest",
    version: env!("CARGO_PKG_VERSION"),
    about: "Answers every input with its digest: for tests of who gets which answer",
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
