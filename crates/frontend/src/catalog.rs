//! The catalog: what is registered, as one immutable value. The state's thread publishes a new one for each change,
//! HTTP reads it, and the engine exchanges its own between two turns.
//!
//! Applications are resolved to the versions of their models when a catalog is made, so that no query looks for them.

mod registrations;

use std::{collections::HashMap, sync::Arc, time::Duration};

use scheduler::{App, ModelVersion, Refusal};
use wire::admin::AddApp;

pub(crate) use registrations::{Registrations, Write, id, to_version, version_of};

/// What is registered, and what follows from it for queries.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    registrations: Registrations,
    /// By their names.
    apps: HashMap<String, Arc<Application>>,
}

/// An application, resolved.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) app: Arc<App>,
    /// The model that it is linked to.
    pub(crate) model: Option<LinkedModel>,
}

/// A model that an application is linked to, whether it exists or not.
#[derive(Debug)]
pub(crate) struct LinkedModel {
    pub(crate) name: String,
    /// Its versions, in their order.
    pub(crate) versions: Vec<Arc<ModelVersion>>,
    /// The version that queries go to, unless it was deleted.
    pub(crate) current: Option<Arc<ModelVersion>>,
}

impl Catalog {
    /// Resolves what is registered.
    pub(crate) fn new(registrations: Registrations) -> Catalog {
        let apps = registrations.apps.values();
        let apps = apps.map(|app| {
            let link = registrations.links.get(&app.name);
            let application = Application {
                app: Arc::new(to_app(app)),
                model: link.map(|model| LinkedModel::resolve(model, &registrations)),
            };
            (app.name.clone(), Arc::new(application))
        });
        Catalog {
            apps: apps.collect(),
            registrations,
        }
    }

    /// The catalog after these steps.
    pub(crate) fn after(&self, steps: &[Write]) -> Catalog {
        let mut registrations = self.registrations.clone();
        for step in steps {
            registrations.apply(step.clone());
        }
        Catalog::new(registrations)
    }

    /// What is registered, as it is stored.
    pub(crate) fn registrations(&self) -> &Registrations {
        &self.registrations
    }

    pub(crate) fn app(&self, name: &str) -> Option<&Arc<Application>> {
        self.apps.get(name)
    }

    /// The first application, by name, that is linked to the model.
    pub(crate) fn app_of(&self, model: &str) -> Option<&Arc<Application>> {
        let mut links = self.registrations.links.iter();
        links.find_map(|(app, linked)| self.apps.get(app).filter(|_| linked == model))
    }
}

impl Application {
    /// The model version that a query goes to: the one that it names, or the current one. `None` if the application has
    /// no model that exists: the query gets the default output.
    ///
    /// # Errors
    /// If the model has no such version.
    pub(crate) fn destination(
        &self,
        version: Option<&str>,
    ) -> Result<Option<&Arc<ModelVersion>>, Refusal> {
        match (&self.model, version) {
            (None, _) => Ok(None),
            (Some(model), None) => Ok(model.current.as_ref()),
            (Some(model), Some(version)) => match model.version(version) {
                Some(known) => Ok(Some(known)),
                None => Err(Refusal::UnknownVersion(version_of(&model.name, version))),
            },
        }
    }
}

impl LinkedModel {
    fn resolve(model: &str, registrations: &Registrations) -> LinkedModel {
        let versions = registrations.versions(model);
        let mut linked = LinkedModel {
            name: model.to_owned(),
            versions: versions.cloned().map(Arc::new).collect(),
            current: None,
        };
        let current = registrations.current.get(model);
        linked.current = current.and_then(|version| linked.version(version).cloned());
        linked
    }

    /// The version of this name.
    pub(crate) fn version(&self, version: &str) -> Option<&Arc<ModelVersion>> {
        self.versions.iter().find(|known| known.version == version)
    }
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

    use wire::admin::AddModel;

    use super::*;

    fn model(version: &str) -> AddModel {
        AddModel {
            model_name: "m".into(),
            model_version: version.into(),
            labels: Vec::new(),
            input_type: "f".parse().unwrap(),
            container_name: String::new(),
            model_data_path: String::new(),
            batch_size: -1,
        }
    }

    /// One application, linked to a model with the versions 1 and 2, of which 2 is current.
    fn catalog() -> Catalog {
        let app = AddApp {
            name: "a".into(),
            input_type: "f".parse().unwrap(),
            default_output: "none".into(),
            latency_slo_micros: 5,
        };
        Catalog::default().after(&[
            Write::SetApp(app),
            Write::SetModel(model("1")),
            Write::SetModel(model("2")),
            Write::SetCurrent(version_of("m", "2")),
            Write::Link {
                app: "a".into(),
                model: "m".into(),
            },
        ])
    }

    fn destination(catalog: &Catalog, version: Option<&str>) -> Option<String> {
        let found = catalog.app("a").unwrap().destination(version).unwrap();
        found.map(|model| model.version.clone())
    }

    #[test]
    fn queries_go_to_the_version_they_name_or_the_current() {
        let catalog = catalog();
        assert_eq!(destination(&catalog, None).as_deref(), Some("2"));
        assert_eq!(destination(&catalog, Some("1")).as_deref(), Some("1"));
        let unknown = catalog.app("a").unwrap().destination(Some("3"));
        let text = "Requested version: 3 does not exist for model: m";
        assert_eq!(unknown.unwrap_err().to_string(), text);
        assert!(catalog.app("b").is_none());
        assert!(catalog.app_of("m").is_some_and(|app| app.app.name == "a"));
    }

    #[test]
    fn without_link_or_current_version_there_is_no_destination() {
        let catalog = catalog();
        let deleted = catalog.after(&[Write::RemoveModel(version_of("m", "2"))]);
        assert_eq!(destination(&deleted, None), None);
        assert_eq!(destination(&deleted, Some("1")).as_deref(), Some("1"));
        let unlinked = catalog.after(&[Write::Unlink {
            app: "a".into(),
            model: "m".into(),
        }]);
        assert_eq!(destination(&unlinked, Some("3")), None);
        assert!(unlinked.app_of("m").is_none());
    }

    #[test]
    fn a_catalog_that_is_in_use_does_not_change() {
        let before = catalog();
        let after = before.after(&[Write::RemoveApp("a".into())]);
        assert!(before.app("a").is_some() && after.app("a").is_none());
    }
}
