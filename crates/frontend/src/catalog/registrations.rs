//! The registered applications, models, versions and links, as they are stored, and the changes
//! between two such states.

use std::collections::{BTreeMap, BTreeSet};

use scheduler::ModelVersion;
use wire::admin::{AddApp, AddModel, ModelId};

/// The registrations made over the admin API of this frontend or, with Redis, of another one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Registrations {
    pub(crate) apps: BTreeMap<String, AddApp>,
    pub(crate) models: BTreeMap<ModelVersion, AddModel>,
    /// Model versions marked as deleted. They occur only in Redis, until a frontend deletes them.
    pub(crate) invalid: BTreeSet<ModelVersion>,
    /// Model name -> current version. The entry outlives a deleted version, as in Clipper.
    pub(crate) current: BTreeMap<String, String>,
    /// Application name -> model name.
    pub(crate) links: BTreeMap<String, String>,
}

/// One change of the registrations, as a store writes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CatalogChange {
    SetApp(AddApp),
    /// Removes the application and its link.
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

    /// Applies a change.
    pub(crate) fn apply(&mut self, write: CatalogChange) {
        match write {
            CatalogChange::SetApp(app) => {
                self.apps.insert(app.name.clone(), app);
            }
            CatalogChange::RemoveApp(app) => {
                self.apps.remove(&app);
                self.links.remove(&app);
            }
            CatalogChange::SetModel(model) => {
                let id = id(&model);
                self.invalid.remove(&id);
                self.models.insert(id, model);
            }
            CatalogChange::RemoveModel(id) => {
                self.models.remove(&id);
                self.invalid.remove(&id);
            }
            CatalogChange::SetCurrent(id) => {
                self.current.insert(id.name, id.version);
            }
            CatalogChange::Link { app, model } => {
                self.links.insert(app, model);
            }
            CatalogChange::Unlink { app, .. } => {
                self.links.remove(&app);
            }
        }
    }

    /// Returns the versions of a model, in order.
    pub(crate) fn versions(&self, model: &str) -> impl Iterator<Item = &ModelVersion> {
        let first = version_of(model, "");
        let from_first = self.models.range(first..).map(|(id, _)| id);
        from_first.take_while(move |id| id.name == model)
    }

    /// Returns the changes that turn `self` into `target`.
    pub(crate) fn difference(&self, target: &Registrations) -> Vec<CatalogChange> {
        let mut changes = Vec::new();
        let removed = self
            .apps
            .keys()
            .filter(|app| !target.apps.contains_key(*app));
        changes.extend(removed.map(|app| CatalogChange::RemoveApp(app.clone())));
        let removed = self
            .models
            .keys()
            .filter(|id| !target.models.contains_key(id));
        changes.extend(removed.map(|id| CatalogChange::RemoveModel(id.clone())));
        for (app, model) in &self.links {
            if target.apps.contains_key(app) && !target.links.contains_key(app) {
                let (app, model) = (app.clone(), model.clone());
                changes.push(CatalogChange::Unlink { app, model });
            }
        }
        let new = target.apps.iter();
        let new = new.filter(|(name, app)| self.apps.get(*name) != Some(app));
        changes.extend(new.map(|(_, app)| CatalogChange::SetApp(app.clone())));
        let new = target.models.iter();
        let new = new.filter(|(id, model)| self.models.get(id) != Some(model));
        changes.extend(new.map(|(_, model)| CatalogChange::SetModel(model.clone())));
        for (name, version) in &target.current {
            let id = version_of(name, version);
            let is_new = !self.models.contains_key(&id);
            let exists = target.models.contains_key(&id);
            if exists && (is_new || self.current.get(name) != Some(version)) {
                changes.push(CatalogChange::SetCurrent(id));
            }
        }
        for (app, model) in &target.links {
            let is_new = !self.apps.contains_key(app);
            if is_new || self.links.get(app) != Some(model) {
                let (app, model) = (app.clone(), model.clone());
                changes.push(CatalogChange::Link { app, model });
            }
        }
        changes
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
    fn a_deleted_version_is_not_set_as_current_at_start() {
        let mut target = Registrations::default();
        target.current.insert("m".into(), "1".into());
        assert_eq!(Registrations::default().difference(&target), []);
    }

    fn states() -> impl Strategy<Value = Registrations> {
        let app = (0..3_u8, 0..3_i64);
        let apps = proptest::collection::vec(app, 0..4);
        let models = proptest::collection::vec((0..2_u8, 0..3_u8, 0..2_i32), 0..5);
        (apps, models, 0..4_u8).prop_map(|(apps, models, links)| {
            let mut registrations = Registrations::default();
            for (name, micros) in apps {
                registrations.apply(CatalogChange::SetApp(AddApp {
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
                registrations.apply(CatalogChange::SetModel(model));
                registrations.apply(CatalogChange::SetCurrent(id));
            }
            for (number, app) in registrations.apps.clone().into_keys().enumerate() {
                if links >> number & 1 == 1 {
                    let model = (number % 2).to_string();
                    registrations.apply(CatalogChange::Link { app, model });
                }
            }
            registrations
        })
    }

    proptest! {
        #[test]
        fn difference_turns_one_state_into_the_other(
            start in states(),
            target in states(),
        ) {
            let mut changed = start.clone();
            for change in start.difference(&target) {
                changed.apply(change);
            }
            let changes = changed.difference(&target);
            prop_assert!(changes.is_empty(), "{changes:?}");
            // The current version of a deleted model stays registered.
            changed.current.retain(|name, _| target.current.contains_key(name));
            prop_assert_eq!(changed, target);
        }
    }
}
