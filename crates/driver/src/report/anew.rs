//! `driver report`: the report of a folder, written anew.

use std::path::{Path, PathBuf};

use super::{files, plain::note, table};
use crate::{Error, results::Folder};

/// Reads the results in `dir`, writes the files of the report beside them and prints the table; returns the page's path.
pub fn anew(dir: &Path) -> Result<PathBuf, Error> {
    let folder = Folder::read(dir)?;
    left_out(&folder);
    let page = files::write(&folder)?;
    let results: Vec<_> = folder.results().cloned().collect();
    table(&results, folder.target_qps);
    Ok(page)
}

/// Names the files that are no results.
pub(super) fn left_out(folder: &Folder) {
    for (file, reason) in &folder.left_out {
        note(&format!("left out: {}: {reason}", file.display()));
    }
}
