//! Tests of subcommands that read the folders of sweeps.
#![allow(clippy::unwrap_used, reason = "tests")]

mod files;
mod import;
mod output;

use std::process::Command;

use tempfile::TempDir;

/// Runs the driver; returns its exit status, standard output and standard error.
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
