//! What is told of what is registered, as Clipper's JSON.

use serde::Serialize;
use wire::admin::{AddApp, AddModel, Application, Container, Containers, Look, Model, ModelId};

use crate::catalog::{Registrations, id, to_version};

impl Registrations {
    /// Answers a question.
    ///
    /// # Errors
    /// What the client is told of what there is not.
    pub(super) fn look(&self, question: &Look) -> Result<String, String> {
        match question {
            Look::Applications { verbose: false } => Ok(json(&keys(&self.apps))),
            Look::Applications { verbose: true } => {
                let apps = self.apps.values().map(|app| self.application(app));
                Ok(json(&apps.collect::<Vec<_>>()))
            }
            Look::Application(name) => {
                let app = self.apps.get(name).map(|app| self.application(app));
                Ok(object_or_none(app))
            }
            Look::LinkedModels(app) => match self.apps.contains_key(app) {
                true => Ok(json(&self.linked(app))),
                false => Err(format!("No application with name '{app}' exists.")),
            },
            Look::Models { verbose: false } => {
                let ids = self.models.keys().map(ToString::to_string);
                Ok(json(&ids.collect::<Vec<_>>()))
            }
            Look::Models { verbose: true } => {
                let models = self.models.values().map(|model| self.model(model));
                Ok(json(&models.collect::<Vec<_>>()))
            }
            Look::Model(model) => {
                let model = self.models.get(&to_version(model));
                Ok(object_or_none(model.map(|model| self.model(model))))
            }
            Look::State(app) => {
                let app = self.apps.get(app);
                Ok(app.map_or_else(String::new, |app| app.default_output.clone()))
            }
        }
    }

    fn application(&self, app: &AddApp) -> Application {
        Application {
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

    fn model(&self, model: &AddModel) -> Model {
        let mut labels = model.labels.clone();
        if labels.is_empty() {
            labels.push(String::new());
        }
        let version = id(model);
        Model {
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

/// Answers a question about replicas.
pub(super) fn look_at_containers(question: &Containers, mut containers: Vec<Container>) -> String {
    containers.sort_by(|a, b| {
        let key = |c: &Container| (c.model_id.clone(), c.model_replica_id);
        key(a).cmp(&key(b))
    });
    match question {
        Containers::All { verbose: true } => json(&containers),
        Containers::All { verbose: false } => {
            let names = containers.iter();
            let names = names.map(|c| format!("{}:{}", c.model_id, c.model_replica_id));
            json(&names.collect::<Vec<_>>())
        }
        Containers::One(model, replica_id) => {
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

/// JSON of names and numbers.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("names and numbers can always be written")
}
