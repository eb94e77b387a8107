//! The files that a report leaves in a sweep's folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use results::{Folder, Trial};

use crate::{csv::csv, error::Error, names::Names, page::page, summary, table};

/// Writes `report.html`, `summary.csv` and `summary.md` into the folder; returns the path of the page.
///
/// # Errors
/// If a file cannot be written.
pub fn write(folder: &Folder) -> Result<PathBuf, Error> {
    let csv = csv(folder)
        .map_err(|error| Error::file("write", &folder.path.join("summary.csv"), error))?;
    put(&folder.path, "summary.csv", &csv)?;
    put(&folder.path, "summary.md", markdown(folder).as_bytes())?;
    put(&folder.path, "report.html", page(folder).as_bytes())
}

/// The same for the folder at `path`.
///
/// # Errors
/// If it holds no result, or a file cannot be written.
pub fn write_all(path: &Path) -> Result<PathBuf, Error> {
    write(&Folder::read(path)?)
}

/// The table as a document of its own.
fn markdown(folder: &Folder) -> String {
    let results: Vec<Trial> = folder.results().cloned().collect();
    let sentence = summary::sentence(folder, &Names::new(folder.results()));
    let title = summary::title(folder);
    format!(
        "# {title}\n\n{sentence}\n\n{}\n",
        table::text(&results, folder.target_qps, false)
    )
}

fn put(folder: &Path, name: &str, content: &[u8]) -> Result<PathBuf, Error> {
    let file = folder.join(name);
    fs::write(&file, content).map_err(|error| Error::file("write", &file, error))?;
    Ok(file)
}
