//! Checks of the changes that clients request, in Clipper's order and with Clipper's texts.

use std::fmt;

use model::DataType;
use scheduler::ModelVersion;
use wire::admin::{AddApp, AddModel, Change, ModelId, ModelLinks};

use crate::catalog::{CatalogChange, Registrations, id, to_version, version_of};

/// The changes for an accepted request, and the texts for its client.
#[derive(Debug, PartialEq)]
pub(super) struct ChangePlan {
    pub(super) changes: Vec<CatalogChange>,
    /// Text for the client after the changes were written.
    pub(super) done: String,
    /// Text for the client if the changes cannot be written.
    pub(super) failed: String,
}

/// The name of the store in messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum StoreKind {
    File,
    Redis,
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StoreKind::File => "the state file",
            StoreKind::Redis => "Redis",
        })
    }
}

impl Registrations {
    /// Checks a requested change and returns its plan.
    ///
    /// # Errors
    /// The text for the client if the change is refused.
    pub(super) fn plan(&self, change: Change, place: StoreKind) -> Result<ChangePlan, String> {
        match change {
            Change::AddApp(app) => self.add_app(app, place),
            Change::DeleteApp(name) => self.delete_app(name, place),
            Change::AddModel(model) => self.add_model(model, place),
            Change::DeleteModel(model) => self.delete_model(&model, place),
            Change::SetVersion(model) => self.set_version(&model, place),
            Change::AddLinks(links) => self.add_links(links, place),
            Change::DeleteLinks(links) => self.delete_links(&links, place),
        }
    }

    fn add_app(&self, app: AddApp, place: StoreKind) -> Result<ChangePlan, String> {
        let name = &app.name;
        if self.apps.contains_key(name) {
            return Err(format!("application '{name}' already exists"));
        }
        Ok(ChangePlan {
            done: format!("Successfully added application with name '{name}'"),
            failed: format!("Error adding application '{name}' to {place}"),
            changes: vec![CatalogChange::SetApp(app)],
        })
    }

    fn delete_app(&self, name: String, place: StoreKind) -> Result<ChangePlan, String> {
        if !self.apps.contains_key(&name) {
            return Err(format!("Application '{name}' does not exist"));
        }
        Ok(ChangePlan {
            done: format!("Successfully deleted application with name '{name}'"),
            failed: format!("Error deleting application '{name}' to {place}"),
            changes: vec![CatalogChange::RemoveApp(name)],
        })
    }

    fn add_model(&self, model: AddModel, place: StoreKind) -> Result<ChangePlan, String> {
        let (name, version) = (&model.model_name, &model.model_version);
        if model.batch_size < 1 && model.batch_size != -1 {
            let text = "The batch size must be positive or DEFAULT_BATCH_SIZE, which is -1";
            return Err(text.into());
        }
        let labels = model.labels.iter().map(|label| ("label", label));
        let texts = [("model name", name), ("model version", version)];
        for (what, text) in texts.into_iter().chain(labels) {
            if text.contains([',', ':']) {
                let rule = "Contains one of: ',', ':'";
                return Err(format!("Invalid {what} supplied: {text}. {rule}"));
            }
        }
        let id = id(&model);
        if self.models.contains_key(&id) {
            return Err(format!(
                "model with name '{name}' and version '{version}' already exists"
            ));
        }
        let input_type = model.input_type;
        self.check_links(name, input_type)?;
        Ok(ChangePlan {
            done: format!(
                "Successfully added model with name '{name}' and input type '{input_type}'"
            ),
            failed: format!("Error adding model {id} to {place}"),
            changes: vec![
                CatalogChange::SetModel(model),
                CatalogChange::SetCurrent(id),
            ],
        })
    }

    fn delete_model(&self, model: &ModelId, place: StoreKind) -> Result<ChangePlan, String> {
        let id = to_version(model);
        let ModelVersion { name, version } = &id;
        let named = format!("model with name '{name}' and version '{version}'");
        if !self.models.contains_key(&id) {
            return Err(format!("{named} does not exist"));
        }
        if self.invalid.contains(&id) {
            return Err(format!("{named} is already marked as 'invalid'"));
        }
        Ok(ChangePlan {
            done: format!("Successfully deleted {named}"),
            failed: format!("Error deleting {named} from {place}"),
            changes: vec![CatalogChange::RemoveModel(id)],
        })
    }

    fn set_version(&self, model: &ModelId, place: StoreKind) -> Result<ChangePlan, String> {
        let id = to_version(model);
        let ModelVersion { name, version } = &id;
        if !self.models.keys().any(|known| known.name == *name) {
            return Err(format!("Cannot set version for nonexistent model '{name}'"));
        }
        let Some(model) = self.models.get(&id) else {
            return Err(format!(
                "Cannot set non-existent version '{version}' for model with name '{name}'"
            ));
        };
        self.check_links(name, model.input_type)?;
        Ok(ChangePlan {
            done: format!("Successfully set model with name '{name}' to version '{version}'"),
            failed: match place {
                StoreKind::File => {
                    format!("Error setting the version of model '{name}' in {place}")
                }
                // Clipper's text, which names the wrong cause.
                StoreKind::Redis => {
                    format!("Version '{version}' does not exist for model with name'{name}'")
                }
            },
            changes: vec![CatalogChange::SetCurrent(id)],
        })
    }

    fn add_links(&self, links: ModelLinks, place: StoreKind) -> Result<ChangePlan, String> {
        let app = links.app_name;
        let Some(application) = self.apps.get(&app) else {
            return Err(format!("No app with name '{app}' exists."));
        };
        let wanted = application.input_type;
        for model in &links.model_names {
            self.check_link(model, wanted)?;
        }
        let [model] = &links.model_names[..] else {
            return Err(match links.model_names.len() {
                0 => format!(
                    "Please provide the name of the model that you want to link to the application '{app}'"
                ),
                several => format!(
                    "Applications must be linked with at most one model. Attempted to add links to {several} models."
                ),
            });
        };
        match self.links.get(&app) {
            Some(old) if old == model => Err(format!(
                "The model with name '{model}' is already linked to '{app}'"
            )),
            Some(old) => Err(format!(
                "A model with name {old} is already linked to '{app}'."
            )),
            None => Ok(ChangePlan {
                done: format!(
                    "Successfully linked model with name '{model}' to application '{app}'"
                ),
                failed: format!("Error linking models to '{app}' in {place}"),
                changes: vec![CatalogChange::Link {
                    model: model.clone(),
                    app,
                }],
            }),
        }
    }

    fn delete_links(&self, links: &ModelLinks, place: StoreKind) -> Result<ChangePlan, String> {
        let app = &links.app_name;
        if !self.apps.contains_key(app) {
            return Err(format!("No app with name {app} exists."));
        }
        let linked = self.links.get(app);
        if let Some(model) = links.model_names.iter().find(|model| linked != Some(model)) {
            return Err(format!(
                "Cannot remove nonexistent link between app {app} and model {model}"
            ));
        }
        let changes = links
            .model_names
            .first()
            .map(|model| CatalogChange::Unlink {
                app: app.clone(),
                model: model.clone(),
            });
        Ok(ChangePlan {
            done: "Success!".into(),
            failed: format!("Error deleting linked models from {app} in {place}"),
            changes: changes.into_iter().collect(),
        })
    }

    /// Checks that a model exists and has the application's input type.
    fn check_link(&self, model: &str, wanted: DataType) -> Result<(), String> {
        let Some(version) = self.current.get(model) else {
            return Err(format!("No model with name '{model}' exists."));
        };
        let id = version_of(model, version);
        // Clipper has no input type of a deleted current version either.
        let found = self.models.get(&id).map(|model| model.input_type);
        if found == Some(wanted) {
            return Ok(());
        }
        let found = found.map_or("", DataType::name);
        Err(format!(
            "Model with name '{model}' has incompatible input_type '{found}'. Requested app to link to has input_type \
             '{wanted}'."
        ))
    }

    /// Checks that a new version of a model has the input type of the applications linked to it.
    fn check_links(&self, model: &str, input_type: DataType) -> Result<(), String> {
        let apps = self.links.iter().filter(|(_, linked)| *linked == model);
        for (app, _) in apps {
            let wanted = self.apps.get(app).map_or(input_type, |app| app.input_type);
            if wanted != input_type {
                return Err(format!(
                    "Model with name '{model}' is already linked to app '{app}' using input type '{wanted}'. The input \
                     type you provided for a new version of the model, '{input_type}', is not compatible."
                ));
            }
        }
        Ok(())
    }
}
