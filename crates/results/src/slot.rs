//! The files of a measurement that begins: their name, and how they are written.

use std::{
    fs::{self, File},
    io::{self, Write},
    iter,
    path::{Path, PathBuf},
};

use jiff::Zoned;
use serde::Serialize;

use crate::{error::Error, trial::Trial};

/// The name of an iteration's files, taken when it starts.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The result file, written when the iteration ends.
    pub file: PathBuf,
    /// The folder of its processes' output.
    pub logs: PathBuf,
}

impl Slot {
    /// Takes the name `results-YYMMDD_HHMMSS` in `folder`, with `-2` and so on if that is taken. Making the folder of
    /// logs is what takes it: so two drivers never share one.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn take(folder: &Path) -> Result<Slot, Error> {
        for name in names("results-") {
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
        unreachable!("the names do not end")
    }

    /// Writes the result.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, result: &Trial) -> Result<(), Error> {
        write(&self.file, result)
    }
}

/// Names for what begins now: the prefix and `YYMMDD_HHMMSS`, then the same with `-2` and so on.
pub fn names(prefix: &str) -> impl Iterator<Item = String> {
    let first = format!("{prefix}{}", Zoned::now().strftime("%y%m%d_%H%M%S"));
    iter::once(first.clone()).chain((2..).map(move |number| format!("{first}-{number}")))
}

/// Writes a file of JSON, whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, content: &impl Serialize) -> Result<(), Error> {
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
    fn two_points_of_one_second_have_different_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let slots: Vec<_> = (0..5).map(|_| Slot::take(folder.path()).unwrap()).collect();
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
