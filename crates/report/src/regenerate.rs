//! `driver report`: writes the report of a folder again.

use std::path::Path;

use results::Folder;

use crate::{
    document::print_summary,
    error::Error,
    files,
    output::{left_out, note},
};

/// Reads the results in `dir`, writes the files of the report beside them, and prints the summary
/// and the page's path.
///
/// # Errors
/// If there is no result, a file cannot be written, or standard output cannot be written.
pub fn regenerate(dir: &Path) -> Result<(), Error> {
    let folder = Folder::read(dir)?;
    left_out(&folder).iter().for_each(|line| note(line));
    let page = files::write(&folder)?;
    let trials: Vec<_> = folder.results().cloned().collect();
    let printed = print_summary(&trials, folder.target_qps);
    note(&format!("report: {}", page.display()));
    printed
}
