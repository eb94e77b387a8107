//! The reports of sweeps that are on disk, as somebody finds them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod compare;
mod files;
mod gate;
mod import;
mod made;
mod output;
mod page;

use std::{path::Path, process::Command};

use tempfile::TempDir;

/// Runs the driver: its exit status, what it printed and what it said.
fn driver(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_driver"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

/// A report of what `fill` puts into a folder.
fn reported(fill: impl FnOnce(&Path)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let (status, _, said) = driver(&["report", path(&folder)]);
    assert_eq!(status, 0, "{said}");
    folder
}
