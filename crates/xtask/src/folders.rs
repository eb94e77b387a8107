//! The folders of the workspace.

use std::path::PathBuf;

/// The folder in which model servers look for artifacts.
pub(crate) fn artifacts() -> PathBuf {
    workspace().join("artifacts")
}

/// The root of the workspace, from cargo's environment at run time; the current folder for a program started without
/// cargo.
pub(crate) fn workspace() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    package
        .and_then(|package| Some(package.ancestors().nth(2)?.to_owned()))
        .unwrap_or_default()
}
