//! Names of a new trial's files, and writing of JSON files.

use std::{
    fs::{self, File},
    io::{self, Write},
    iter,
    path::{Path, PathBuf},
};

use jiff::Zoned;
use serde::Serialize;

use crate::{error::Error, trial::Trial};

/// Paths of a trial's files, reserved when it starts.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Result file, written when the trial ends.
    pub file: PathBuf,
    /// Folder of the processes' output.
    pub logs: PathBuf,
}

impl Slot {
    /// Reserves the name `results-YYMMDD_HHMMSS` in `folder`, with `-2` and so on if it is in use.
    /// The folder of logs is the reservation, so two drivers never share a name.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn reserve(folder: &Path) -> Result<Slot, Error> {
        for name in timestamped_names("results-") {
            let slot = Slot {
                file: folder.join(format!("{name}.json")),
                logs: folder.join("logs").join(&name),
            };
            match fs::create_dir(&slot.logs) {
                Ok(()) if !slot.file.exists() => return Ok(slot),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::file("make the folder", &slot.logs, error));
                }
                _ => {}
            }
        }
        unreachable!("the sequence of names is infinite")
    }

    /// Writes the result.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, result: &Trial) -> Result<(), Error> {
        write_json(&self.file, result)
    }
}

/// Returns names with the prefix and the time, `YYMMDD_HHMMSS`; from the second on, with `-2` and
/// so on.
pub fn timestamped_names(prefix: &str) -> impl Iterator<Item = String> {
    let first = format!("{prefix}{}", Zoned::now().strftime("%y%m%d_%H%M%S"));
    iter::once(first.clone()).chain((2..).map(move |number| format!("{first}-{number}")))
}

/// Writes a JSON file atomically.
///
/// # Errors
/// If the file cannot be written.
pub fn write_json(path: &Path, content: &impl Serialize) -> Result<(), Error> {
    let failed = |error: io::Error| Error::file("write", path, error);
    let mut bytes = serde_json::to_vec_pretty(content).map_err(|error| failed(error.into()))?;
    bytes.push(b'\n');
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished).map_err(failed)?;
    file.write_all(&bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn trials_of_one_second_have_different_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let slots: Vec<_> = (0..5)
            .map(|_| Slot::reserve(folder.path()).unwrap())
            .collect();
        let files: BTreeSet<_> = slots.iter().map(|slot| slot.file.clone()).collect();
        let logs: BTreeSet<_> = slots.iter().map(|slot| slot.logs.clone()).collect();
        assert_eq!((files.len(), logs.len()), (5, 5));
        for file in files {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(
                name.starts_with("results-2") && name.ends_with(".json"),
                "{name}"
            );
        }
    }
}
