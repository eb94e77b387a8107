//! The vocabulary of the project: what a model takes, what it answers, and how it fails.
//!
//! Sync, without I/O: a model server implements [`Model`] and knows nothing else.

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

/// A model that answers batches. It is built, and lives, on one thread: it need not be `Send`.
pub trait Model {
    /// What the model is: said once, when the model server registers.
    fn info(&self) -> ModelInfo;

    /// One prediction per input, in the order of the inputs.
    ///
    /// # Errors
    /// An input that is wrong fails alone ([`InputError`]); [`PredictError`] fails the whole batch.
    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictError>;
}

/// The answers to a batch, one per input and in their order.
pub type Predictions = Vec<Result<Output, InputError>>;
