//! The artifacts of all models, in one folder: those that are there already are left alone.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{classifiers, networks};

/// Makes the artifacts that are missing in `dir`, or all of them.
pub(crate) fn make(dir: &Path, force: bool) -> anyhow::Result<()> {
    make_folder(dir)?;
    networks::make(dir, force)?;
    classifiers::make(dir, force)
}

/// Makes the artifacts of the networks whose weights `files` hold, anew where they are there already.
pub(crate) fn convert(dir: &Path, files: &[PathBuf], network: Option<&str>) -> anyhow::Result<()> {
    make_folder(dir)?;
    networks::convert(dir, files, network)
}

/// Writes the networks' random weights as torchvision state dicts.
pub(crate) fn save_state_dicts(dir: &Path) -> anyhow::Result<()> {
    make_folder(dir)?;
    networks::save_state_dicts(dir)
}

fn make_folder(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))
}
