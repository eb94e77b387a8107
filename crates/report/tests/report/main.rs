//! The reports of sweeps that are on disk, as somebody finds them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod compare;
mod files;
mod gate;
mod page;

use std::path::Path;

use report::{Compare, Error, Limits};
use tempfile::TempDir;

/// A report of what `fill` puts into a folder.
fn reported(fill: impl FnOnce(&Path)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    report::write_all(folder.path()).unwrap();
    folder
}

/// What a comparison came to: an exit status, what is printed, and what is remarked.
struct Compared {
    status: i32,
    printed: String,
    said: String,
}

/// Compares with these flags, as `driver compare` has them.
fn compare(a: &TempDir, b: &TempDir, flags: &[&str]) -> Compared {
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
        Ok(compared) => Compared {
            status: i32::from(!compared.passed),
            printed: compared.text,
            said: compared.remarks.join("\n"),
        },
        Err(error) => Compared {
            status: if matches!(error, Error::Usage(_)) {
                2
            } else {
                1
            },
            printed: String::new(),
            said: error.to_string(),
        },
    }
}
