//! The state in one file: an embedded database, on disk before a client is told so.

use std::{error::Error, path::Path};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::{error::StateError, listings::json};
use crate::catalog::{Registrations, Write, id};

type Table = TableDefinition<'static, &'static str, &'static str>;

/// Application name -> JSON of `AddApp`.
const APPS: Table = TableDefinition::new("applications");
/// `name:version` -> JSON of `AddModel`.
const MODELS: Table = TableDefinition::new("models");
/// Model name -> current version.
const CURRENT: Table = TableDefinition::new("current_versions");
/// Application name -> model name.
const LINKS: Table = TableDefinition::new("links");

/// An open state file.
#[derive(Debug)]
pub(super) struct File(Database);

impl File {
    /// Opens or creates a state file; answers what it says.
    ///
    /// # Errors
    /// If it is no state file, or another frontend has it open.
    pub(super) fn open(file: &Path) -> Result<(File, Registrations), StateError> {
        let database = Database::create(file).map_err(|error| StateError::Open {
            file: file.to_owned(),
            error,
        })?;
        let registrations = read(&database).map_err(|error| StateError::Read {
            file: file.to_owned(),
            error,
        })?;
        Ok((File(database), registrations))
    }

    /// Writes in one transaction, which is on disk when this returns.
    pub(super) fn write(&self, steps: &[Write]) -> Result<(), redb::Error> {
        let transaction = self.0.begin_write()?;
        for step in steps {
            write(&transaction, step)?;
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
        registrations.apply(Write::SetApp(serde_json::from_str(row?.1.value())?));
    }
    for row in read.open_table(MODELS)?.iter()? {
        registrations.apply(Write::SetModel(serde_json::from_str(row?.1.value())?));
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

fn write(transaction: &WriteTransaction, step: &Write) -> Result<(), redb::Error> {
    let insert = |table: Table, key: &str, value: &str| {
        transaction.open_table(table)?.insert(key, value)?;
        Ok(())
    };
    let remove = |table: Table, key: &str| {
        transaction.open_table(table)?.remove(key)?;
        Ok(())
    };
    match step {
        Write::SetApp(app) => insert(APPS, &app.name, &json(app)),
        Write::RemoveApp(app) => remove(APPS, app).and_then(|()| remove(LINKS, app)),
        Write::SetModel(model) => insert(MODELS, &id(model).to_string(), &json(model)),
        Write::RemoveModel(model) => remove(MODELS, &model.to_string()),
        Write::SetCurrent(model) => insert(CURRENT, &model.name, &model.version),
        Write::Link { app, model } => insert(LINKS, app, model),
        Write::Unlink { app, .. } => remove(LINKS, app),
    }
}
