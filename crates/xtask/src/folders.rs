//! The folders of the workspace.

use std::path::PathBuf;

/// Where model servers look for their artifacts.
pub(crate) fn artifacts() -> PathBuf {
    workspace().join("artifacts")
}

/// The root of the workspace: cargo says at run time where this package is; a binary started by hand takes the
/// current folder.
pub(crate) fn workspace() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    package
        .and_then(|package| Some(package.ancestors().nth(2)?.to_owned()))
        .unwrap_or_default()
}
