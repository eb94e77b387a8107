//! The no-op model server: the baseline of every measurement.

use model::{Batch, DataType, Model, ModelInfo, Output, PredictError, Predictions};

/// Accepts inputs of any type and length; the output is one float, zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noop;

impl Model for Noop {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            engine: "none".into(),
            device: "cpu".into(),
            threads: 1,
            output_type: DataType::Floats,
            ..ModelInfo::default()
        }
    }

    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError> {
        Ok(vec![Ok(Output::Floats(vec![0.0])); batch.len()])
    }
}
