//! Makes the artifacts of all models in one folder; present ones are kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::{
    networks, photographs,
    train::{self, Classifier, Source},
};

/// Makes the artifacts that are missing in `dir`, or all of them. Classifiers are trained on `dir/pictures`, again if
/// their network has changed.
pub(crate) fn make(dir: &Path, force: bool) -> anyhow::Result<()> {
    make_folder(dir)?;
    let learn = networks::make(dir, force)?;
    let pictures = dir.join("pictures");
    photographs::cut(&pictures, force)?;
    let source = Source {
        pictures,
        networks: dir.to_owned(),
        held_out: train::HELD_OUT,
        seed: train::SEED,
    };
    for classifier in Classifier::ALL {
        let files = classifier.files(dir);
        match files.exist() && !learn.contains(&classifier.file()) {
            true => println!("{}: present", files.artifact.display()),
            false => train::train(&[classifier], &source, dir)?,
        }
    }
    Ok(())
}

/// Makes the artifacts of the networks whose weights are in `files`; present ones are replaced.
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
