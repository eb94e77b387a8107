//! What replicas declare of their inputs and outputs: noted by the engine when one joins, read by HTTP.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use model::DataType;
use scheduler::ModelVersion;

/// What the replicas of each model version declare. Clones share it. It is locked when a replica joins, never for a
/// query that the engine serves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declarations(Arc<RwLock<BTreeMap<ModelVersion, Declared>>>);

/// What the replicas of a model version declare.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Declared {
    /// The shape of one input; empty if any length is taken.
    pub(crate) input_shape: Vec<usize>,
    /// The type of the outputs.
    pub(crate) output_type: DataType,
}

impl Declarations {
    /// Notes what the replicas of a model version declare from now on.
    pub(crate) fn set(&self, model: &ModelVersion, declared: Declared) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(model.clone(), declared);
    }

    /// Forgets a model version that was deleted.
    pub(crate) fn remove(&self, model: &ModelVersion) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.remove(model);
    }

    /// What the replicas of a model version declare, or did while there was one; `None` if none has joined yet.
    pub(crate) fn get(&self, model: &ModelVersion) -> Option<Declared> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(model).cloned()
    }
}
