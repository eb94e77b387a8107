//! Reports of sweeps on disk.
#![allow(clippy::unwrap_used, reason = "tests")]

mod compare;
mod files;
mod gate;
mod page;

use std::path::Path;

use report::{Compare, Error, Limits};
use tempfile::TempDir;

/// Writes the report of the results that `fill` puts into a folder.
fn reported(fill: impl FnOnce(&Path)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    report::write_all(folder.path()).unwrap();
    folder
}

/// Result of a comparison: exit status, text and remarks.
struct CompareOutput {
    status: i32,
    printed: String,
    remarks: String,
}

/// Compares with these flags of `driver compare`.
fn compare(a: &TempDir, b: &TempDir, flags: &[&str]) -> CompareOutput {
    let value = |flag| {
        let at = flags.iter().position(|other| *other == flag)?;
        Some(flags[at + 1])
    };
    let limit = |flag| value(flag).map(|limit| limit.parse().unwrap());
    let compared = report::compare(&Compare {
        a: a.path(),
        b: b.path(),
        limits: Limits {
            below: limit("--fail_below"),
            above: limit("--fail_above"),
            allow_missing: flags.contains(&"--allow_missing"),
        },
        junit: value("--junit").map(Path::new),
    });
    match compared {
        Ok(compared) => CompareOutput {
            status: i32::from(!compared.passed),
            printed: compared.text,
            remarks: compared.remarks.join("\n"),
        },
        Err(error) => CompareOutput {
            status: if matches!(error, Error::Usage(_)) {
                2
            } else {
                1
            },
            printed: String::new(),
            remarks: error.to_string(),
        },
    }
}
