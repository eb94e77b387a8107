//! Applications, models, versions and links: what they must satisfy, and where they are kept.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Context;
use model::DataType;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use scheduler::{App, ModelVersion};
use wire::admin::{AddApp, AddModel, AddModelLinks, SetModelVersion};

use crate::command::Command;

/// Application name -> JSON of [`AddApp`].
const APPS: TableDefinition<&str, &str> = TableDefinition::new("applications");
/// `name:version` -> JSON of [`AddModel`].
const MODELS: TableDefinition<&str, &str> = TableDefinition::new("models");
/// Model name -> current version.
const CURRENT: TableDefinition<&str, &str> = TableDefinition::new("current_versions");
/// Application name -> model name.
const LINKS: TableDefinition<&str, &str> = TableDefinition::new("links");

/// What has been registered over the admin API.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    apps: BTreeMap<String, AddApp>,
    models: BTreeMap<(String, String), AddModel>,
    current: BTreeMap<String, String>,
    links: BTreeMap<String, String>,
    file: Option<Database>,
}

/// What an admin request comes to: what the client is told, and what the engine is.
pub(crate) type Change = Result<(String, Vec<Command>), String>;

impl Registry {
    /// Opens or creates the state file.
    ///
    /// # Errors
    /// If it is no state file, or another frontend has it open.
    pub(crate) fn open(file: &Path) -> anyhow::Result<Registry> {
        let name = file.display();
        let database = Database::create(file).with_context(|| {
            format!(
                "cannot open the state file {name}: is it one, and is no other frontend using it?"
            )
        })?;
        Registry::load(database).with_context(|| format!("cannot read the state file {name}"))
    }

    fn load(database: Database) -> anyhow::Result<Registry> {
        let mut registry = Registry::default();
        let begun = database.begin_write()?;
        for table in [APPS, MODELS, CURRENT, LINKS] {
            begun.open_table(table)?;
        }
        begun.commit()?;
        let read = database.begin_read()?;
        for row in read.open_table(APPS)?.iter()? {
            let app: AddApp = serde_json::from_str(row?.1.value())?;
            registry.apps.insert(app.name.clone(), app);
        }
        for row in read.open_table(MODELS)?.iter()? {
            let model: AddModel = serde_json::from_str(row?.1.value())?;
            let key = (model.model_name.clone(), model.model_version.clone());
            registry.models.insert(key, model);
        }
        for (table, map) in [
            (CURRENT, &mut registry.current),
            (LINKS, &mut registry.links),
        ] {
            for row in read.open_table(table)?.iter()? {
                let (key, value) = row?;
                map.insert(key.value().to_owned(), value.value().to_owned());
            }
        }
        drop(read);
        registry.file = Some(database);
        Ok(registry)
    }

    /// Everything, for an engine that starts.
    pub(crate) fn commands(&self) -> Vec<Command> {
        let apps = self.apps.values().filter_map(|app| set_app(app).ok());
        let models = self
            .models
            .values()
            .filter_map(|model| set_model(model).ok());
        let current = self.current.iter().map(|(name, version)| {
            Command::SetCurrentVersion(ModelVersion {
                name: name.clone(),
                version: version.clone(),
            })
        });
        let links = self.links.iter().map(|(app, model)| Command::Link {
            app: app.clone(),
            model: model.clone(),
        });
        apps.chain(models).chain(current).chain(links).collect()
    }

    pub(crate) fn add_app(&mut self, app: AddApp) -> Change {
        if self.apps.contains_key(&app.name) {
            return Err(format!("application '{}' already exists", app.name));
        }
        let command = set_app(&app)?;
        self.write(&[(APPS, &app.name, &json(&app))])
            .map_err(|_| format!("Error adding application '{}' to the state file", app.name))?;
        let text = format!("Successfully added application with name '{}'", app.name);
        self.apps.insert(app.name.clone(), app);
        Ok((text, vec![command]))
    }

    pub(crate) fn add_model(&mut self, model: AddModel) -> Change {
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
        let key = (name.clone(), version.clone());
        if self.models.contains_key(&key) {
            let text = format!("model with name '{name}' and version '{version}' already exists");
            return Err(text);
        }
        self.check_links(name, &model.input_type)?;
        let command = set_model(&model)?;
        let input_type = parse(&model.input_type)?;
        let id = format!("{name}:{version}");
        self.write(&[(MODELS, &id, &json(&model)), (CURRENT, name, version)])
            .map_err(|_| format!("Error adding model {id} to the state file"))?;
        let text =
            format!("Successfully added model with name '{name}' and input type '{input_type}'");
        let current = Command::SetCurrentVersion(ModelVersion {
            name: name.clone(),
            version: version.clone(),
        });
        self.current.insert(name.clone(), version.clone());
        self.models.insert(key, model);
        Ok((text, vec![command, current]))
    }

    pub(crate) fn set_model_version(&mut self, set: SetModelVersion) -> Change {
        let SetModelVersion {
            model_name: name,
            model_version: version,
        } = set;
        if !self.models.keys().any(|(model, _)| *model == name) {
            return Err(format!("Cannot set version for nonexistent model '{name}'"));
        }
        let Some(model) = self.models.get(&(name.clone(), version.clone())) else {
            return Err(format!(
                "Cannot set non-existent version '{version}' for model with name '{name}'"
            ));
        };
        self.check_links(&name, &model.input_type)?;
        self.write(&[(CURRENT, &name, &version)]).map_err(|_| {
            format!("Error setting the version of model '{name}' in the state file")
        })?;
        self.current.insert(name.clone(), version.clone());
        let text = format!("Successfully set model with name '{name}' to version '{version}'");
        let current = Command::SetCurrentVersion(ModelVersion { name, version });
        Ok((text, vec![current]))
    }

    pub(crate) fn add_model_links(&mut self, links: AddModelLinks) -> Change {
        let app = &links.app_name;
        let Some(application) = self.apps.get(app) else {
            return Err(format!("No app with name '{app}' exists."));
        };
        let wanted = &application.input_type;
        for model in &links.model_names {
            let Some(input_type) = self.current_input_type(model) else {
                return Err(format!("No model with name '{model}' exists."));
            };
            if parse(input_type)? != parse(wanted)? {
                return Err(format!(
                    "Model with name '{model}' has incompatible input_type '{input_type}'. \
                     Requested app to link to has input_type '{wanted}'."
                ));
            }
        }
        let model = match &links.model_names[..] {
            [] => {
                return Err(format!(
                    "Please provide the name of the model that you want to link to the application '{app}'"
                ));
            }
            [model] => model,
            several => {
                return Err(format!(
                    "Applications must be linked with at most one model. Attempted to add links to {} models.",
                    several.len()
                ));
            }
        };
        match self.links.get(app) {
            Some(old) if old == model => {
                let text = format!("The model with name '{model}' is already linked to '{app}'");
                return Err(text);
            }
            Some(old) => {
                return Err(format!(
                    "A model with name {old} is already linked to '{app}'."
                ));
            }
            None => {}
        }
        self.write(&[(LINKS, app, model)])
            .map_err(|_| format!("Error linking models to '{app}' in the state file"))?;
        self.links.insert(app.clone(), model.clone());
        let text = format!("Successfully linked model with name '{model}' to application '{app}'");
        let link = Command::Link {
            app: app.clone(),
            model: model.clone(),
        };
        Ok((text, vec![link]))
    }

    /// A version of a linked model must take what its applications take.
    fn check_links(&self, model: &str, input_type: &str) -> Result<(), String> {
        for (app, _) in self.links.iter().filter(|(_, linked)| *linked == model) {
            let wanted = self.apps.get(app).map_or(input_type, |app| &app.input_type);
            if parse(wanted)? != parse(input_type)? {
                return Err(format!(
                    "Model with name '{model}' is already linked to app '{app}' using input type \
                     '{wanted}'. The input type you provided for a new version of the model, \
                     '{input_type}', is not compatible."
                ));
            }
        }
        Ok(())
    }

    fn current_input_type(&self, model: &str) -> Option<&String> {
        let version = self.current.get(model)?;
        let key = (model.to_owned(), version.clone());
        Some(&self.models.get(&key)?.input_type)
    }

    /// Writes rows in one transaction, which is on disk when this returns. Why it failed goes to the log.
    fn write(&self, rows: &[Row<'_>]) -> Result<(), redb::Error> {
        let written = self.file.as_ref().map_or(Ok(()), |file| write(file, rows));
        written.inspect_err(|error| tracing::error!("cannot write the state file: {error}"))
    }
}

/// A table, a key and a value.
type Row<'a> = (
    TableDefinition<'static, &'static str, &'static str>,
    &'a str,
    &'a str,
);

fn write(file: &Database, rows: &[Row<'_>]) -> Result<(), redb::Error> {
    let transaction = file.begin_write()?;
    for (table, key, value) in rows {
        transaction.open_table(*table)?.insert(*key, *value)?;
    }
    transaction.commit()?;
    Ok(())
}

fn set_app(app: &AddApp) -> Result<Command, String> {
    Ok(Command::SetApp(App {
        name: app.name.clone(),
        input_type: parse(&app.input_type)?,
        default_output: app.default_output.clone(),
        objective: Duration::from_micros(app.latency_slo_micros),
    }))
}

/// A batch size of -1 leaves it to the frontend, which then batches nothing.
fn set_model(model: &AddModel) -> Result<Command, String> {
    let id = ModelVersion {
        name: model.model_name.clone(),
        version: model.model_version.clone(),
    };
    let max = usize::try_from(model.batch_size).ok();
    Ok(Command::SetModel(id, parse(&model.input_type)?, max))
}

fn parse(input_type: &str) -> Result<DataType, String> {
    input_type
        .parse()
        .map_err(|error: model::UnknownDataType| error.to_string())
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("names and numbers can always be written")
}
