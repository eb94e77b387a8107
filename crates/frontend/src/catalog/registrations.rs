//! Applications, models, versions and links as they were registered and are stored, and the steps from one such state
//! to another.

use std::collections::{BTreeMap, BTreeSet};

use scheduler::ModelVersion;
use wire::admin::{AddApp, AddModel, ModelId};

/// What has been registered over the admin API, here or at another frontend.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Registrations {
    pub(crate) apps: BTreeMap<String, AddApp>,
    pub(crate) models: BTreeMap<ModelVersion, AddModel>,
    /// Model versions that somebody has marked as deleted: only in Redis, and only until a frontend sees it.
    pub(crate) invalid: BTreeSet<ModelVersion>,
    /// Model name -> current version. It outlives that version, as in Clipper.
    pub(crate) current: BTreeMap<String, String>,
    /// Application name -> model name.
    pub(crate) links: BTreeMap<String, String>,
}

/// A step from one state to another, as it is written where the state is kept.
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

impl Registrations {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Registrations::default()
    }

    /// Carries a step out.
    pub(crate) fn apply(&mut self, write: Write) {
        match write {
            Write::SetApp(app) => {
                self.apps.insert(app.name.clone(), app);
            }
            Write::RemoveApp(app) => {
                self.apps.remove(&app);
                self.links.remove(&app);
            }
            Write::SetModel(model) => {
                let id = id(&model);
                self.invalid.remove(&id);
                self.models.insert(id, model);
            }
            Write::RemoveModel(id) => {
                self.models.remove(&id);
                self.invalid.remove(&id);
            }
            Write::SetCurrent(id) => {
                self.current.insert(id.name, id.version);
            }
            Write::Link { app, model } => {
                self.links.insert(app, model);
            }
            Write::Unlink { app, .. } => {
                self.links.remove(&app);
            }
        }
    }

    /// The versions of a model, in their order.
    pub(crate) fn versions(&self, model: &str) -> impl Iterator<Item = &ModelVersion> {
        let first = version_of(model, "");
        let from_first = self.models.range(first..).map(|(id, _)| id);
        from_first.take_while(move |id| id.name == model)
    }

    /// The steps that lead from here to there.
    pub(crate) fn difference(&self, there: &Registrations) -> Vec<Write> {
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

pub(crate) fn id(model: &AddModel) -> ModelVersion {
    version_of(&model.model_name, &model.model_version)
}

pub(crate) fn version_of(name: &str, version: &str) -> ModelVersion {
    ModelVersion {
        name: name.to_owned(),
        version: version.to_owned(),
    }
}

pub(crate) fn to_version(model: &ModelId) -> ModelVersion {
    version_of(&model.model_name, &model.model_version)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_version_that_was_deleted_is_not_current_for_an_engine_that_starts() {
        let mut there = Registrations::default();
        there.current.insert("m".into(), "1".into());
        assert_eq!(Registrations::default().difference(&there), []);
    }

    fn states() -> impl Strategy<Value = Registrations> {
        let app = (0..3_u8, 0..3_i64);
        let apps = proptest::collection::vec(app, 0..4);
        let models = proptest::collection::vec((0..2_u8, 0..3_u8, 0..2_i32), 0..5);
        (apps, models, 0..4_u8).prop_map(|(apps, models, links)| {
            let mut registrations = Registrations::default();
            for (name, micros) in apps {
                registrations.apply(Write::SetApp(AddApp {
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
                registrations.apply(Write::SetModel(model));
                registrations.apply(Write::SetCurrent(id));
            }
            for (number, app) in registrations.apps.clone().into_keys().enumerate() {
                if links >> number & 1 == 1 {
                    let model = (number % 2).to_string();
                    registrations.apply(Write::Link { app, model });
                }
            }
            registrations
        })
    }

    proptest! {
        #[test]
        fn steps_between_two_states_lead_from_one_to_the_other(
            here in states(),
            there in states(),
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
