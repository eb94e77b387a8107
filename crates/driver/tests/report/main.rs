//! What the driver says of sweeps that are on disk.
#![allow(clippy::unwrap_used, reason = "tests")]

mod files;
mod import;
mod output;

use std::process::Command;

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
