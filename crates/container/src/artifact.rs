//! Where artifacts lie, and what the metadata file beside each says.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use model::Artifact;

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
pub fn artifact_beside(path: &Path) -> anyhow::Result<Option<Artifact>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    let beside = PathBuf::from(name);
    match fs::read(&beside) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .with_context(|| format!("{} is not an artifact's metadata", beside.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", beside.display())),
    }
}
