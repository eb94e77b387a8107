//! `driver report`: the report of a folder, written anew.

use std::path::Path;

use results::Folder;

use crate::{
    error::Error,
    files,
    output::{left_out, note},
    table::table,
};

/// Reads the results in `dir`, writes the files of the report beside them, prints the table and the page's path.
///
/// # Errors
/// If there is no result, a file cannot be written, or standard output takes nothing.
pub fn regenerate(dir: &Path) -> Result<(), Error> {
    let folder = Folder::read(dir)?;
    left_out(&folder).iter().for_each(|line| note(line));
    let page = files::write(&folder)?;
    let results: Vec<_> = folder.results().cloned().collect();
    let printed = table(&results, folder.target_qps);
    note(&format!("the report is {}", page.display()));
    printed
}
