//! Input shapes and output types that replicas declare. The engine writes them when a replica
//! joins; the HTTP threads read them.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use model::DataType;
use scheduler::ModelVersion;

/// The declarations for each model version. Clones share them. The engine locks them when a replica
/// joins, never for a query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declarations(Arc<RwLock<BTreeMap<ModelVersion, Declared>>>);

/// The declarations of the replicas of a model version.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Declared {
    /// Shape of one input; empty if inputs of any length are accepted.
    pub(crate) input_shape: Vec<usize>,
    /// Type of the outputs.
    pub(crate) output_type: DataType,
}

impl Declarations {
    /// Sets the declarations for a model version.
    pub(crate) fn set(&self, model: &ModelVersion, declared: Declared) {
        let mut declarations = self.0.write().unwrap_or_else(PoisonError::into_inner);
        declarations.insert(model.clone(), declared);
    }

    /// Removes the declarations for a deleted model version.
    pub(crate) fn remove(&self, model: &ModelVersion) {
        let mut declarations = self.0.write().unwrap_or_else(PoisonError::into_inner);
        declarations.remove(model);
    }

    /// Returns the declarations for a model version. They remain when the last replica leaves;
    /// `None` before the first one joins.
    pub(crate) fn get(&self, model: &ModelVersion) -> Option<Declared> {
        let declarations = self.0.read().unwrap_or_else(PoisonError::into_inner);
        declarations.get(model).cloned()
    }
}
