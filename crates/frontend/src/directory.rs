//! Which applications and models there are, for the HTTP threads: what the engine has been told, without asking it. And
//! what replicas declare of their inputs and outputs, which the engine notes when one joins.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use model::DataType;
use scheduler::{App, ModelVersion};

use crate::command::Command;

/// Read by every request, written when something is registered.
#[derive(Debug, Default)]
pub(crate) struct Directory(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    apps: BTreeMap<String, Application>,
    models: BTreeMap<ModelVersion, DataType>,
    current: BTreeMap<String, String>,
    declared: BTreeMap<ModelVersion, Declared>,
}

/// What the replicas of a model version declare.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Declared {
    /// The shape of one input; empty if any length is taken.
    pub(crate) input_shape: Vec<usize>,
    /// The type of the outputs.
    pub(crate) output_type: DataType,
}

/// An application, and the model that it is linked to.
#[derive(Clone, Debug)]
pub(crate) struct Application {
    pub(crate) app: Arc<App>,
    pub(crate) model: Option<Arc<str>>,
}

impl Directory {
    /// Takes note of what the engine is about to be told.
    pub(crate) fn note(&self, command: &Command) {
        if matches!(command, Command::Query(_) | Command::Forget(_)) {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match command {
            Command::SetApp(app) => {
                let model = known.apps.remove(&app.name).and_then(|old| old.model);
                let app = Arc::new(app.clone());
                known
                    .apps
                    .insert(app.name.clone(), Application { app, model });
            }
            Command::RemoveApp(app) => drop(known.apps.remove(app)),
            Command::Link { app, model } => known.link(app, Some(model)),
            Command::Unlink(app) => known.link(app, None),
            Command::SetModel(model, input_type, _) => {
                known.models.insert(model.clone(), *input_type);
            }
            Command::RemoveModel(model) => {
                known.models.remove(model);
                known.declared.remove(model);
                if known.current.get(&model.name) == Some(&model.version) {
                    known.current.remove(&model.name);
                }
            }
            Command::SetCurrentVersion(model) => {
                known
                    .current
                    .insert(model.name.clone(), model.version.clone());
            }
            _ => {}
        }
    }

    /// Notes what the replicas of a model version declare from now on.
    pub(crate) fn declare(&self, model: &ModelVersion, declared: Declared) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.declared.insert(model.clone(), declared);
    }

    /// What the replicas of a model version declare, or did while there was one; `None` if none has joined yet.
    pub(crate) fn declared(&self, model: &ModelVersion) -> Option<Declared> {
        self.known().declared.get(model).cloned()
    }

    pub(crate) fn app(&self, name: &str) -> Option<Application> {
        self.known().apps.get(name).cloned()
    }

    /// The first application, by name, that is linked to the model.
    pub(crate) fn app_of(&self, model: &str) -> Option<Application> {
        let known = self.known();
        let linked = |app: &&Application| app.model.as_deref() == Some(model);
        known.apps.values().find(linked).cloned()
    }

    pub(crate) fn has_version(&self, model: &str, version: &str) -> bool {
        self.versions(model).iter().any(|known| known == version)
    }

    /// The model's versions.
    pub(crate) fn versions(&self, model: &str) -> Vec<String> {
        let known = self.known();
        let of_model = known.models.keys().filter(|known| known.name == model);
        of_model.map(|known| known.version.clone()).collect()
    }

    /// The version that the model's queries go to.
    pub(crate) fn current(&self, model: &str) -> Option<String> {
        self.known().current.get(model).cloned()
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn link(&mut self, app: &str, model: Option<&str>) {
        if let Some(app) = self.apps.get_mut(app) {
            app.model = model.map(Arc::from);
        }
    }
}
