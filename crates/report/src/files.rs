//! Files that a report leaves in a sweep's folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use results::{Folder, Trial};

use crate::{csv::csv, document, error::Error, page::page, summary};

/// Writes `report.html`, `summary.csv` and `summary.md` into the folder; returns the path of the
/// page.
///
/// # Errors
/// If a file cannot be written.
pub fn write(folder: &Folder) -> Result<PathBuf, Error> {
    let csv = csv(folder)
        .map_err(|error| Error::file("write", &folder.path.join("summary.csv"), error))?;
    write_file(&folder.path, "summary.csv", &csv)?;
    write_file(&folder.path, "summary.md", markdown(folder).as_bytes())?;
    write_file(&folder.path, "report.html", page(folder).as_bytes())
}

/// Reads the results in the folder at `path`, then writes its files.
///
/// # Errors
/// If the folder has no result, or a file cannot be written.
pub fn write_all(path: &Path) -> Result<PathBuf, Error> {
    write(&Folder::read(path)?)
}

/// Returns what the terminal shows after the sweep, with a title.
fn markdown(folder: &Folder) -> String {
    let trials: Vec<Trial> = folder.results().cloned().collect();
    let title = summary::title(&trials.iter().collect::<Vec<_>>());
    let text = document::text(&trials, folder.target_qps, false);
    format!("# {title}\n\n{text}")
}

fn write_file(folder: &Path, name: &str, content: &[u8]) -> Result<PathBuf, Error> {
    let file = folder.join(name);
    fs::write(&file, content).map_err(|error| Error::file("write", &file, error))?;
    Ok(file)
}
