//! The project's vocabulary: the inputs and outputs of a model, its errors and its description.
//!
//! Synchronous and without I/O. A model server implements [`Model`].

mod batch;
mod class;
mod classifier;
mod data_type;
mod device;
mod error;
mod info;
mod output;

pub use batch::{Batch, Numeric, element_count};
pub use class::{Accuracy, NotAClass};
pub use classifier::{ClassifierError, ClassifierSettings};
pub use data_type::{DataType, UnknownDataType};
pub use device::{Device, UnknownDevice};
pub use error::{InputError, PredictError};
pub use info::{Artifact, ModelInfo};
pub use output::Output;

/// A model that predicts batches. It is built and used on one thread, so it need not be `Send`.
pub trait Model {
    /// Describes the model. Called once, when the model server registers.
    fn info(&self) -> ModelInfo;

    /// Returns one prediction per input, in the order of the inputs.
    ///
    /// # Errors
    /// [`PredictError`] fails the whole batch; an invalid input fails alone, with an
    /// [`InputError`].
    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError>;
}

/// The predictions for a batch, one per input, in the order of the inputs.
pub type Predictions = Vec<Result<Output, InputError>>;
