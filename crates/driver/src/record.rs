//! `sweep.json`: what a sweep was asked for, and on what it began.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use host::machine::{Machine, Versions};
use results::{self, FORMAT};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{error::Error, plan::Plan, settings::Settings};

const FILE: &str = "sweep.json";

/// What is measured on, and by what.
#[derive(Clone, Debug)]
pub struct MeasuredOn {
    /// The machine.
    pub machine: Machine,
    /// The versions.
    pub versions: Versions,
}

/// What a sweep was asked for. [`FORMAT`] is its version, too.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The version of the files' format.
    pub format: u32,
    /// The arguments as typed.
    pub command_line: String,
    /// Everything that was given, by flag, file or environment, as arguments that say it again.
    pub arguments: Vec<String>,
    /// The folder that relative paths in the arguments start from.
    pub started_in: PathBuf,
    /// What the arguments mean, defaults and all.
    pub settings: Value,
    /// The points, their order, and the cores.
    pub plan: Value,
    /// What the sweep began on.
    pub machine: Machine,
    /// What it began with.
    pub versions: Versions,
}

impl Record {
    /// What is to be written of a sweep that begins.
    ///
    /// # Errors
    /// If the current folder cannot be found.
    pub fn of(settings: &Settings, plan: &Plan, on: &MeasuredOn) -> Result<Record, Error> {
        let failed = |error: serde_json::Error| Error::Failed(format!("{FILE}: {error}"));
        let started_in = env::current_dir()
            .map_err(|error| Error::Failed(format!("cannot find the current folder: {error}")))?;
        Ok(Record {
            format: FORMAT,
            command_line: settings.command_line.clone(),
            arguments: settings.arguments.clone(),
            started_in,
            settings: serde_json::to_value(settings).map_err(failed)?,
            plan: serde_json::to_value(plan).map_err(failed)?,
            machine: on.machine.clone(),
            versions: on.versions.clone(),
        })
    }

    /// Writes it into the folder of its sweep.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        Ok(results::write(&folder.join(FILE), self)?)
    }

    /// Reads it back.
    ///
    /// # Errors
    /// If there is none, or it is of another version.
    pub fn read(folder: &Path) -> Result<Record, Error> {
        let path = folder.join(FILE);
        let wrong = |error: io::Error| {
            Error::Usage(format!(
                "{} is not the folder of a sweep of this driver's version: {FILE}: {error}",
                folder.display()
            ))
        };
        let bytes = fs::read(&path).map_err(wrong)?;
        let record: Record = serde_json::from_slice(&bytes).map_err(|error| wrong(error.into()))?;
        match record.format {
            FORMAT => Ok(record),
            other => Err(wrong(io::Error::other(format!("its format is {other}")))),
        }
    }

    /// Lists what changed since the sweep began, a line each; results before and after are not comparable.
    pub fn changes(&self, now: &MeasuredOn) -> Vec<String> {
        let mut changes = differences("machine", &self.machine, &now.machine);
        changes.extend(differences("version", &self.versions, &now.versions));
        changes
    }
}

/// The fields that differ. What cannot be JSON has none.
fn differences(what: &str, then: &impl Serialize, now: &impl Serialize) -> Vec<String> {
    let fields = |of: Result<Value, _>| of.unwrap_or_default();
    let then = fields(serde_json::to_value(then));
    let now = fields(serde_json::to_value(now));
    let keys = now.as_object().into_iter().flat_map(|fields| fields.keys());
    let changed = keys.filter(|key| then[key.as_str()] != now[key.as_str()]);
    changed
        .map(|key| format!("{what}: {key} was {}, and is {}", then[key], now[key]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            format: FORMAT,
            command_line: "driver -m noop".to_owned(),
            arguments: vec!["--model_name=noop".to_owned()],
            started_in: "/tmp".into(),
            settings: Value::Null,
            plan: Value::Null,
            machine: Machine::read(&[0, 1]),
            versions: Versions::read(),
        }
    }

    #[test]
    fn what_has_changed_since_a_sweep_began_is_said_and_nothing_else() {
        let record = record();
        let mut now = MeasuredOn {
            machine: record.machine.clone(),
            versions: record.versions.clone(),
        };
        assert!(record.changes(&now).is_empty());
        now.machine.allowed_cores = "0".to_owned();
        now.versions.commit = Some("abc".to_owned());
        let changes = record.changes(&now);
        assert_eq!(changes.len(), 2, "{changes:?}");
        assert_eq!(
            changes[0],
            "machine: allowed_cores was \"0-1\", and is \"0\""
        );
        assert!(changes[1].ends_with("and is \"abc\""), "{changes:?}");
    }

    #[test]
    fn a_record_is_read_back_and_a_folder_without_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Record::read(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Usage(_)));
        assert!(
            error.to_string().contains("not the folder of a sweep"),
            "{error}"
        );
        record().write(folder.path()).unwrap();
        assert_eq!(
            Record::read(folder.path()).unwrap().arguments,
            record().arguments
        );
        let other = Record {
            format: FORMAT + 1,
            ..record()
        };
        other.write(folder.path()).unwrap();
        assert!(Record::read(folder.path()).is_err());
    }
}
