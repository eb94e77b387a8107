//! Location of artifacts, and their metadata files.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use model::Artifact;

use crate::error::Error;

/// Returns the path of `artifacts/<file>` in the nearest folder above the running program that
/// contains it; otherwise the path below the current folder, without checking that it exists.
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

/// Reads the metadata of the artifact at `path` from `<path>.json`; `None` if that file is missing.
///
/// # Errors
/// If the file exists and cannot be read: results must not omit the origin of the weights.
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
