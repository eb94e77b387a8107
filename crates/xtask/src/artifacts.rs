//! The artifacts of all models, in one folder: those that are there already are left alone.

use std::{fs, path::Path};

use anyhow::Context;

use crate::{classifiers, networks};

/// Makes the artifacts that are missing in `dir`, or all of them.
pub(crate) fn make(dir: &Path, force: bool) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    networks::make(dir, force)?;
    classifiers::make(dir, force)
}
