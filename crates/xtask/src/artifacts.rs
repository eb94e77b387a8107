//! The artifacts of all models, in one folder: those that are there already are left alone.

use std::{fs, path::Path};

use anyhow::Context;

use crate::{
    networks, photographs,
    train::{self, Classifier, Source},
};

/// Makes the artifacts that are missing in `dir`, or all of them; the classifiers learn from `dir/pictures`.
pub(crate) fn make(dir: &Path, force: bool) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    networks::make(dir, force)?;
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
        match files.exist() && !force {
            true => println!("{}: present", files.artifact.display()),
            false => train::train(&[classifier], &source, dir)?,
        }
    }
    Ok(())
}
