//! The state in one file: an embedded database. A change is on disk before its client gets the
//! answer.

use std::{error::Error, path::Path};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::{error::StateError, listings::json};
use crate::catalog::{CatalogChange, Registrations, id};

type Table = TableDefinition<'static, &'static str, &'static str>;

/// Application name -> `AddApp` as JSON.
const APPS: Table = TableDefinition::new("applications");
/// `name:version` -> `AddModel` as JSON.
const MODELS: Table = TableDefinition::new("models");
/// Model name -> current version.
const CURRENT: Table = TableDefinition::new("current_versions");
/// Application name -> model name.
const LINKS: Table = TableDefinition::new("links");

/// An open state file.
#[derive(Debug)]
pub(super) struct StateFile(Database);

impl StateFile {
    /// Opens or creates a state file and returns its registrations.
    ///
    /// # Errors
    /// If the file is not a state file, or another frontend has it open.
    pub(super) fn open(file: &Path) -> Result<(StateFile, Registrations), StateError> {
        let database = Database::create(file).map_err(|error| StateError::Open {
            file: file.to_owned(),
            error,
        })?;
        let registrations = read(&database).map_err(|error| StateError::Read {
            file: file.to_owned(),
            error,
        })?;
        Ok((StateFile(database), registrations))
    }

    /// Writes the changes in one transaction, which is on disk on return.
    pub(super) fn write(&self, changes: &[CatalogChange]) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        for change in changes {
            write(&transaction, change)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn read(database: &Database) -> Result<Registrations, Box<dyn Error + Send + Sync>> {
    let begun = database.begin_write()?;
    for table in [APPS, MODELS, CURRENT, LINKS] {
        begun.open_table(table)?;
    }
    begun.commit()?;
    let mut registrations = Registrations::default();
    let read = database.begin_read()?;
    for row in read.open_table(APPS)?.iter()? {
        registrations.apply(CatalogChange::SetApp(serde_json::from_str(row?.1.value())?));
    }
    for row in read.open_table(MODELS)?.iter()? {
        registrations.apply(CatalogChange::SetModel(serde_json::from_str(
            row?.1.value(),
        )?));
    }
    let texts = [
        (CURRENT, &mut registrations.current),
        (LINKS, &mut registrations.links),
    ];
    for (table, map) in texts {
        for row in read.open_table(table)?.iter()? {
            let (key, value) = row?;
            map.insert(key.value().to_owned(), value.value().to_owned());
        }
    }
    Ok(registrations)
}

fn write(transaction: &WriteTransaction, change: &CatalogChange) -> Result<(), redb::Error> {
    let insert = |table: Table, key: &str, value: &str| {
        transaction.open_table(table)?.insert(key, value)?;
        Ok(())
    };
    let remove = |table: Table, key: &str| {
        transaction.open_table(table)?.remove(key)?;
        Ok(())
    };
    match change {
        CatalogChange::SetApp(app) => insert(APPS, &app.name, &json(app)),
        CatalogChange::RemoveApp(app) => remove(APPS, app).and_then(|()| remove(LINKS, app)),
        CatalogChange::SetModel(model) => insert(MODELS, &id(model).to_string(), &json(model)),
        CatalogChange::RemoveModel(model) => remove(MODELS, &model.to_string()),
        CatalogChange::SetCurrent(model) => insert(CURRENT, &model.name, &model.version),
        CatalogChange::Link { app, model } => insert(LINKS, app, model),
        CatalogChange::Unlink { app, .. } => remove(LINKS, app),
    }
}
