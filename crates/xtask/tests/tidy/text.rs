//! Rules for the text of every file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::metadata;

#[test]
fn model_libraries_use_neither_runtime_nor_wire() {
    for source in sources() {
        let path = source.to_string_lossy().into_owned();
        if path.contains("/containers/") && path.contains("/src/") && !path.ends_with("main.rs") {
            let text = fs::read_to_string(&source).unwrap();
            for name in ["container::", "picture_server::", "wire::", "zmq::"] {
                let uses = text
                    .lines()
                    .any(|line| line.trim_start().starts_with(&format!("use {name}")));
                assert!(!uses, "{path} may not use {name}");
            }
        }
    }
}

#[test]
fn every_file_begins_with_its_documentation() {
    for source in sources() {
        let text = fs::read_to_string(&source).unwrap();
        assert!(
            text.starts_with("//!"),
            "{} starts without //!",
            source.display()
        );
    }
}

/// The driver was more than a third of the code; what can stand alone has a crate of its own.
#[test]
fn the_driver_has_at_most_8500_lines() {
    let sources = sources().into_iter();
    let driver = sources.filter(|path| path.to_string_lossy().contains("/crates/driver/"));
    let lines: usize = driver
        .map(|path| fs::read_to_string(path).unwrap().lines().count())
        .sum();
    assert!(
        (1..=8_500).contains(&lines),
        "crates/driver has {lines} lines: see the crates beside it in ARCHITECTURE.md"
    );
}

#[test]
fn unsafe_code_is_in_one_module() {
    let with_unsafe: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.ends_with("tests/tidy/text.rs"))
        .filter(|source| fs::read_to_string(source).unwrap().contains("unsafe {"))
        .collect();
    let names: Vec<_> = with_unsafe
        .iter()
        .filter_map(|path| path.file_name())
        .collect();
    assert_eq!(names, ["frame.rs"], "{with_unsafe:?}");
}

pub(crate) fn workspace_root() -> PathBuf {
    metadata().workspace_root.into_std_path_buf()
}

/// Lists every Rust file of the workspace.
pub(crate) fn sources() -> Vec<PathBuf> {
    let root = workspace_root();
    let mut found = Vec::new();
    for folder in [
        "crates",
        "containers",
        "benches",
        "fuzz/fuzz_targets",
        "fuzz/src",
    ] {
        walk(&root.join(folder), &mut found);
    }
    assert!(found.len() > 20, "the sources are not where they were");
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
