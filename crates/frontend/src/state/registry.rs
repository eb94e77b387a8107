//! What is registered: applications, models, versions and links.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use scheduler::{App, ModelVersion};
use wire::admin::{AddApp, AddModel, ModelId};

use crate::command::Command;

/// What has been registered over the admin API, here or at another frontend.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Registry {
    pub(super) apps: BTreeMap<String, AddApp>,
    pub(super) models: BTreeMap<ModelVersion, AddModel>,
    /// Model versions that somebody has marked as deleted: only in Redis, and only until a frontend sees it.
    pub(super) invalid: BTreeSet<ModelVersion>,
    /// Model name -> current version. It outlives that version, as in Clipper.
    pub(super) current: BTreeMap<String, String>,
    /// Application name -> model name.
    pub(super) links: BTreeMap<String, String>,
}

/// A step from one registry to another: what is written where the state is kept, and what the engine is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Write {
    SetApp(AddApp),
    /// With its link.
    RemoveApp(String),
    SetModel(AddModel),
    RemoveModel(ModelVersion),
    SetCurrent(ModelVersion),
    Link {
        app: String,
        model: String,
    },
    Unlink {
        app: String,
        model: String,
    },
}

impl Registry {
    pub(super) fn is_empty(&self) -> bool {
        *self == Registry::default()
    }

    /// Carries a step out, and says what the engine is to be told.
    pub(super) fn apply(&mut self, write: Write) -> Command {
        match write {
            Write::SetApp(app) => {
                let command = Command::SetApp(to_app(&app));
                self.apps.insert(app.name.clone(), app);
                command
            }
            Write::RemoveApp(app) => {
                self.apps.remove(&app);
                self.links.remove(&app);
                Command::RemoveApp(app)
            }
            Write::SetModel(model) => {
                let id = id(&model);
                let max = usize::try_from(model.batch_size).ok();
                let command = Command::SetModel(id.clone(), model.input_type, max);
                self.invalid.remove(&id);
                self.models.insert(id, model);
                command
            }
            Write::RemoveModel(id) => {
                self.models.remove(&id);
                self.invalid.remove(&id);
                Command::RemoveModel(id)
            }
            Write::SetCurrent(id) => {
                self.current.insert(id.name.clone(), id.version.clone());
                Command::SetCurrentVersion(id)
            }
            Write::Link { app, model } => {
                self.links.insert(app.clone(), model.clone());
                Command::Link { app, model }
            }
            Write::Unlink { app, .. } => {
                self.links.remove(&app);
                Command::Unlink(app)
            }
        }
    }

    /// The steps that lead from here to there.
    pub(super) fn difference(&self, there: &Registry) -> Vec<Write> {
        let mut steps = Vec::new();
        let gone = self
            .apps
            .keys()
            .filter(|app| !there.apps.contains_key(*app));
        steps.extend(gone.map(|app| Write::RemoveApp(app.clone())));
        let gone = self
            .models
            .keys()
            .filter(|id| !there.models.contains_key(id));
        steps.extend(gone.map(|id| Write::RemoveModel(id.clone())));
        for (app, model) in &self.links {
            if there.apps.contains_key(app) && !there.links.contains_key(app) {
                let (app, model) = (app.clone(), model.clone());
                steps.push(Write::Unlink { app, model });
            }
        }
        let new = there.apps.iter();
        let new = new.filter(|(name, app)| self.apps.get(*name) != Some(app));
        steps.extend(new.map(|(_, app)| Write::SetApp(app.clone())));
        let new = there.models.iter();
        let new = new.filter(|(id, model)| self.models.get(id) != Some(model));
        steps.extend(new.map(|(_, model)| Write::SetModel(model.clone())));
        for (name, version) in &there.current {
            let id = version_of(name, version);
            let came = !self.models.contains_key(&id);
            let exists = there.models.contains_key(&id);
            if exists && (came || self.current.get(name) != Some(version)) {
                steps.push(Write::SetCurrent(id));
            }
        }
        for (app, model) in &there.links {
            let came = !self.apps.contains_key(app);
            if came || self.links.get(app) != Some(model) {
                let (app, model) = (app.clone(), model.clone());
                steps.push(Write::Link { app, model });
            }
        }
        steps
    }
}

pub(super) fn id(model: &AddModel) -> ModelVersion {
    version_of(&model.model_name, &model.model_version)
}

pub(super) fn version_of(name: &str, version: &str) -> ModelVersion {
    ModelVersion {
        name: name.to_owned(),
        version: version.to_owned(),
    }
}

pub(super) fn to_version(model: &ModelId) -> ModelVersion {
    version_of(&model.model_name, &model.model_version)
}

fn to_app(app: &AddApp) -> App {
    let micros = u64::try_from(app.latency_slo_micros).unwrap_or(0);
    App {
        name: app.name.clone(),
        input_type: app.input_type,
        default_output: app.default_output.clone(),
        objective: Duration::from_micros(micros),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_version_that_was_deleted_is_not_current_for_an_engine_that_starts() {
        let mut there = Registry::default();
        there.current.insert("m".into(), "1".into());
        assert_eq!(Registry::default().difference(&there), []);
    }

    fn registry() -> impl Strategy<Value = Registry> {
        let app = (0..3_u8, 0..3_i64);
        let apps = proptest::collection::vec(app, 0..4);
        let models = proptest::collection::vec((0..2_u8, 0..3_u8, 0..2_i32), 0..5);
        (apps, models, 0..4_u8).prop_map(|(apps, models, links)| {
            let mut registry = Registry::default();
            for (name, micros) in apps {
                registry.apply(Write::SetApp(AddApp {
                    name: name.to_string(),
                    input_type: "f".parse().unwrap(),
                    default_output: String::new(),
                    latency_slo_micros: micros,
                }));
            }
            for (name, version, batch_size) in models {
                let model = AddModel {
                    model_name: name.to_string(),
                    model_version: version.to_string(),
                    labels: Vec::new(),
                    input_type: "f".parse().unwrap(),
                    container_name: String::new(),
                    model_data_path: String::new(),
                    batch_size,
                };
                let id = id(&model);
                registry.apply(Write::SetModel(model));
                registry.apply(Write::SetCurrent(id));
            }
            for (number, app) in registry.apps.clone().into_keys().enumerate() {
                if links >> number & 1 == 1 {
                    let model = (number % 2).to_string();
                    registry.apply(Write::Link { app, model });
                }
            }
            registry
        })
    }

    proptest! {
        #[test]
        fn the_steps_between_two_registries_lead_from_one_to_the_other(
            here in registry(),
            there in registry(),
        ) {
            let mut walked = here.clone();
            for step in here.difference(&there) {
                walked.apply(step);
            }
            let steps = walked.difference(&there);
            prop_assert!(steps.is_empty(), "{steps:?}");
            // The current version of a model that is gone stays known.
            walked.current.retain(|name, _| there.current.contains_key(name));
            prop_assert_eq!(walked, there);
        }
    }
}
