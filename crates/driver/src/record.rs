//! `sweep.json`: the settings of a sweep, its plan, and the machine.

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

/// The machine and the programs of a measurement.
#[derive(Clone, Debug)]
pub struct MeasuredOn {
    /// The machine.
    pub machine: Machine,
    /// Versions of the programs.
    pub versions: Versions,
}

/// The record of a sweep. Its version is [`FORMAT`], as for results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Version of the file format.
    pub format: u32,
    /// The command line as typed.
    pub command_line: String,
    /// All flags that were set, by command line, file or environment, as arguments that repeat the sweep.
    pub arguments: Vec<String>,
    /// Folder from which relative paths in the arguments start.
    pub started_in: PathBuf,
    /// The settings, defaults included.
    pub settings: Value,
    /// The configs, the order of trials, and the cores.
    pub plan: Value,
    /// The machine at the start of the sweep.
    pub machine: Machine,
    /// The versions at the start of the sweep.
    pub versions: Versions,
}

impl Record {
    /// Returns the record of a new sweep.
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

    /// Writes the record into the folder of the sweep.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        Ok(results::write_json(&folder.join(FILE), self)?)
    }

    /// Reads the record of a folder.
    ///
    /// # Errors
    /// If there is no record, or it has another version.
    pub fn read(folder: &Path) -> Result<Record, Error> {
        let path = folder.join(FILE);
        let wrong = |error: io::Error| {
            Error::Usage(format!(
                "{} is not the folder of a sweep of this driver's version: {FILE}: {error}; name another folder",
                folder.display()
            ))
        };
        let bytes = fs::read(&path).map_err(wrong)?;
        let record: Record = serde_json::from_slice(&bytes).map_err(|error| wrong(error.into()))?;
        match record.format {
            FORMAT => Ok(record),
            other => Err(Error::Usage(format!(
                "cannot resume {}: its {FILE} has format {other}, and this driver continues format {FORMAT} only; use the \
                 driver version that began the sweep, or start a new sweep",
                folder.display()
            ))),
        }
    }

    /// Lists what changed since the sweep began, a line each; results before and after are not comparable.
    pub fn changes(&self, now: &MeasuredOn) -> Vec<String> {
        let mut changes = differences("machine", &self.machine, &now.machine);
        changes.extend(differences("version", &self.versions, &now.versions));
        changes
    }
}

/// Lists the fields that differ. A value that is not a JSON object has no fields.
fn differences(what: &str, then: &impl Serialize, now: &impl Serialize) -> Vec<String> {
    let fields = |of: Result<Value, _>| of.unwrap_or_default();
    let then = fields(serde_json::to_value(then));
    let now = fields(serde_json::to_value(now));
    let keys = now.as_object().into_iter().flat_map(|fields| fields.keys());
    let changed = keys.filter(|key| then[key.as_str()] != now[key.as_str()]);
    changed
        .map(|key| format!("{what}: {key} was {} and is now {}", then[key], now[key]))
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
    fn changes_since_the_start_of_a_sweep_are_listed() {
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
            "machine: allowed_cores was \"0-1\" and is now \"0\""
        );
        assert!(changes[1].ends_with("and is now \"abc\""), "{changes:?}");
    }

    #[test]
    fn a_record_is_written_and_read() {
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
            format: FORMAT - 1,
            ..record()
        };
        other.write(folder.path()).unwrap();
        let error = Record::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("continues format 3 only"), "{error}");
    }
}
