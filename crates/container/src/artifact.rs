//! Where artifacts lie, and what the metadata file beside each says.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use model::Artifact;

use crate::error::Error;

/// The file `artifacts/<file>` in the nearest folder above the running program that has it, else below the current
/// folder, whether or not it is there.
pub(crate) fn default_path(file: &str) -> PathBuf {
    let below = Path::new("artifacts").join(file);
    let program = env::current_exe().unwrap_or_default();
    program
        .ancestors()
        .skip(1)
        .map(|folder| folder.join(&below))
        .find(|path| path.exists())
        .unwrap_or(below)
}

/// The provenance of the artifact at `path`, from the file `<path>.json`; `None` if there is no such file.
///
/// # Errors
/// If the file is there and cannot be read: what the weights are would be unknown, and results would not say so.
pub fn artifact_beside(path: &Path) -> Result<Option<Artifact>, Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    let path = PathBuf::from(name);
    match fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .map_err(|source| Error::Metadata { path, source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path, source }),
    }
}
