//! `driver report`: the report of a folder, written anew.

use std::path::Path;

use results::Folder;

use super::{files, note, table};
use crate::Error;

/// Reads the results in `dir`, writes the files of the report beside them, prints the table and the page's path.
pub fn report(dir: &Path) -> Result<(), Error> {
    let folder = Folder::read(dir)?;
    left_out(&folder);
    let page = files::write(&folder)?;
    let results: Vec<_> = folder.results().cloned().collect();
    let printed = table(&results, folder.target_qps);
    note(&format!("the report is {}", page.display()));
    printed
}

/// Names the files that are no results.
pub(super) fn left_out(folder: &Folder) {
    for (file, reason) in &folder.left_out {
        note(&format!("left out: {}: {reason}", file.display()));
    }
}
