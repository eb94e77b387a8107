//! The catalog: the registered applications, models and links as one immutable value.
//!
//! The state thread publishes a new catalog for each change. The HTTP threads read the newest one,
//! and the engine replaces its own between two turns of its loop. A catalog resolves applications
//! to the versions of their models when it is built, so that no query has to.

mod registrations;

use std::{collections::HashMap, sync::Arc, time::Duration};

use scheduler::{App, ModelVersion, Refusal};
use wire::admin::AddApp;

pub(crate) use registrations::{CatalogChange, Registrations, id, to_version, version_of};

/// The registrations and the applications resolved from them.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    registrations: Registrations,
    /// Applications by name.
    apps: HashMap<String, Arc<ResolvedApp>>,
    /// First application, by name, that is linked to each model.
    apps_of_models: HashMap<String, Arc<ResolvedApp>>,
}

/// An application with the model that its link resolves to.
#[derive(Debug)]
pub(crate) struct ResolvedApp {
    pub(crate) app: Arc<App>,
    /// The linked model; `None` without a link.
    pub(crate) model: Option<LinkedModel>,
}

/// A model that an application is linked to. It may have no versions, if it was deleted.
#[derive(Debug)]
pub(crate) struct LinkedModel {
    pub(crate) name: String,
    /// The registered versions, in order.
    pub(crate) versions: Vec<Arc<ModelVersion>>,
    /// The version for queries that name none; `None` if it was deleted.
    pub(crate) current: Option<Arc<ModelVersion>>,
}

impl Catalog {
    /// Resolves the registrations.
    pub(crate) fn new(registrations: Registrations) -> Catalog {
        let apps = registrations.apps.values();
        let apps = apps.map(|app| {
            let link = registrations.links.get(&app.name);
            let application = ResolvedApp {
                app: Arc::new(to_app(app)),
                model: link.map(|model| LinkedModel::resolve(model, &registrations)),
            };
            (app.name.clone(), Arc::new(application))
        });
        let apps: HashMap<String, Arc<ResolvedApp>> = apps.collect();
        let mut apps_of_models = HashMap::new();
        for (app, model) in &registrations.links {
            if let Some(app) = apps.get(app) {
                let first = apps_of_models.entry(model.clone());
                first.or_insert_with(|| app.clone());
            }
        }
        Catalog {
            apps,
            apps_of_models,
            registrations,
        }
    }

    /// Returns the catalog after these changes.
    pub(crate) fn after(&self, changes: &[CatalogChange]) -> Catalog {
        let mut registrations = self.registrations.clone();
        for change in changes {
            registrations.apply(change.clone());
        }
        Catalog::new(registrations)
    }

    /// Returns the registrations, as they are stored.
    pub(crate) fn registrations(&self) -> &Registrations {
        &self.registrations
    }

    pub(crate) fn app(&self, name: &str) -> Option<&Arc<ResolvedApp>> {
        self.apps.get(name)
    }

    /// Returns the first application, by name, that is linked to the model.
    pub(crate) fn app_of(&self, model: &str) -> Option<&Arc<ResolvedApp>> {
        self.apps_of_models.get(model)
    }
}

impl ResolvedApp {
    /// Returns the model version for a query: the version that it names, or else the current one.
    /// Returns `None` if there is no such model; the query then gets the default output.
    ///
    /// # Errors
    /// If the model has no version of the name given.
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

    /// Returns the version with this name.
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

    /// Returns one application, linked to a model with versions 1 and 2. Version 2 is current.
    fn catalog() -> Catalog {
        let app = AddApp {
            name: "a".into(),
            input_type: "f".parse().unwrap(),
            default_output: "none".into(),
            latency_slo_micros: 5,
        };
        Catalog::default().after(&[
            CatalogChange::SetApp(app),
            CatalogChange::SetModel(model("1")),
            CatalogChange::SetModel(model("2")),
            CatalogChange::SetCurrent(version_of("m", "2")),
            CatalogChange::Link {
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
    fn routes_queries_to_the_named_or_current_version() {
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
    fn has_no_destination_without_link_or_current_version() {
        let catalog = catalog();
        let deleted = catalog.after(&[CatalogChange::RemoveModel(version_of("m", "2"))]);
        assert_eq!(destination(&deleted, None), None);
        assert_eq!(destination(&deleted, Some("1")).as_deref(), Some("1"));
        let unlinked = catalog.after(&[CatalogChange::Unlink {
            app: "a".into(),
            model: "m".into(),
        }]);
        assert_eq!(destination(&unlinked, Some("3")), None);
        assert!(unlinked.app_of("m").is_none());
    }

    #[test]
    fn a_change_leaves_the_old_catalog_as_it_was() {
        let before = catalog();
        let after = before.after(&[CatalogChange::RemoveApp("a".into())]);
        assert!(before.app("a").is_some() && after.app("a").is_none());
    }
}
