//! The listings of the admin API, in Clipper's JSON.

use serde::Serialize;
use wire::admin::{
    AddApp, AddModel, ApplicationInfo, ContainerInfo, ContainerLookup, Lookup, ModelId,
    ModelVersionInfo,
};

use crate::catalog::{Registrations, id, to_version};

impl Registrations {
    /// Returns the listing that a request asks for.
    ///
    /// # Errors
    /// The text for the client if the object does not exist.
    pub(super) fn lookup(&self, request: &Lookup) -> Result<String, String> {
        match request {
            Lookup::Applications { verbose: false } => Ok(json(&keys(&self.apps))),
            Lookup::Applications { verbose: true } => {
                let apps = self.apps.values().map(|app| self.application(app));
                Ok(json(&apps.collect::<Vec<_>>()))
            }
            Lookup::Application(name) => {
                let app = self.apps.get(name).map(|app| self.application(app));
                Ok(object_or_none(app))
            }
            Lookup::LinkedModels(app) => match self.apps.contains_key(app) {
                true => Ok(json(&self.linked(app))),
                false => Err(format!("No application with name '{app}' exists.")),
            },
            Lookup::Models { verbose: false } => {
                let ids = self.models.keys().map(ToString::to_string);
                Ok(json(&ids.collect::<Vec<_>>()))
            }
            Lookup::Models { verbose: true } => {
                let models = self.models.values().map(|model| self.model(model));
                Ok(json(&models.collect::<Vec<_>>()))
            }
            Lookup::Model(model) => {
                let model = self.models.get(&to_version(model));
                Ok(object_or_none(model.map(|model| self.model(model))))
            }
            Lookup::State(app) => {
                let app = self.apps.get(app);
                Ok(app.map_or_else(String::new, |app| app.default_output.clone()))
            }
        }
    }

    fn application(&self, app: &AddApp) -> ApplicationInfo {
        ApplicationInfo {
            input_type: app.input_type,
            default_output: app.default_output.clone(),
            latency_slo_micros: app.latency_slo_micros,
            name: app.name.clone(),
            linked_models: self.linked(&app.name),
        }
    }

    fn linked(&self, app: &str) -> Vec<String> {
        self.links.get(app).cloned().into_iter().collect()
    }

    fn model(&self, model: &AddModel) -> ModelVersionInfo {
        let mut labels = model.labels.clone();
        if labels.is_empty() {
            labels.push(String::new());
        }
        let version = id(model);
        ModelVersionInfo {
            labels,
            input_type: model.input_type,
            container_name: model.container_name.clone(),
            model_data_path: model.model_data_path.clone(),
            is_current_version: self.current.get(&version.name) == Some(&version.version),
            model_name: version.name,
            model_version: version.version,
        }
    }
}

/// Returns the listing of replicas that a request asks for.
pub(super) fn list_containers(
    request: &ContainerLookup,
    mut containers: Vec<ContainerInfo>,
) -> String {
    containers.sort_by(|a, b| {
        let key = |c: &ContainerInfo| (c.model_id.clone(), c.model_replica_id);
        key(a).cmp(&key(b))
    });
    match request {
        ContainerLookup::All { verbose: true } => json(&containers),
        ContainerLookup::All { verbose: false } => {
            let names = containers.iter();
            let names = names.map(|c| format!("{}:{}", c.model_id, c.model_replica_id));
            json(&names.collect::<Vec<_>>())
        }
        ContainerLookup::One(model, replica_id) => {
            let ModelId {
                model_name,
                model_version,
            } = model;
            object_or_none(containers.iter().find(|c| {
                (&c.model_name, &c.model_version) == (model_name, model_version)
                    && i64::from(c.model_replica_id) == i64::from(*replica_id)
            }))
        }
    }
}

fn keys<V>(map: &std::collections::BTreeMap<String, V>) -> Vec<&String> {
    map.keys().collect()
}

fn object_or_none<T: Serialize>(object: Option<T>) -> String {
    object.map_or_else(|| "{}".to_owned(), |object| json(&object))
}

/// Returns the JSON of a value made of names and numbers.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names and numbers serialise to JSON")
}
