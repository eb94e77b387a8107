//! The rules of ARCHITECTURE.md that matter, held over `cargo metadata` and the sources.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Who may depend on whom in this workspace, tests and benches aside. A package that is not here may not exist.
const ARROWS: [(&str, &[&str]); 26] = [
    ("lightgbm3-sys", &[]),
    ("workspace-hack", &[]),
    ("model", &[]),
    ("onnx", &[]),
    ("picture", &[]),
    ("wire", &["model"]),
    ("transport", &["wire"]),
    ("scheduler", &["model"]),
    ("featurizer", &["model", "onnx", "picture"]),
    ("container", &["model", "transport", "wire"]),
    (
        "frontend",
        &["model", "scheduler", "transport", "wire", "workspace-hack"],
    ),
    ("host", &["workspace-hack"]),
    (
        "loadgen",
        &["host", "model", "transport", "wire", "workspace-hack"],
    ),
    (
        "driver",
        &[
            "deploy",
            "host",
            "loadgen",
            "model",
            "picture",
            "report",
            "results",
            "transport",
            "wire",
            "workspace-hack",
        ],
    ),
    ("report", &["results", "workspace-hack"]),
    ("deploy", &["host", "model", "wire", "workspace-hack"]),
    (
        "results",
        &["host", "loadgen", "model", "wire", "workspace-hack"],
    ),
    (
        "vgg",
        &["container", "featurizer", "model", "workspace-hack"],
    ),
    (
        "inception",
        &["container", "featurizer", "model", "workspace-hack"],
    ),
    ("svm", &["container", "model", "workspace-hack"]),
    ("lgbm", &["container", "model", "workspace-hack"]),
    ("noop", &["container", "model", "workspace-hack"]),
    (
        "endurance",
        &[
            "container",
            "deploy",
            "host",
            "loadgen",
            "model",
            "transport",
            "wire",
        ],
    ),
    ("testkit", &["frontend", "model", "transport", "wire"]),
    ("benches", &["featurizer", "model", "transport", "wire"]),
    (
        "xtask",
        &[
            "container",
            "featurizer",
            "inception",
            "lgbm",
            "model",
            "onnx",
            "picture",
            "svm",
            "vgg",
            "workspace-hack",
        ],
    ),
];

/// Crates from elsewhere that only these packages may depend on.
const ENGINES: [(&str, &[&str]); 4] = [
    ("ort", &["featurizer"]),
    ("tch", &["featurizer"]),
    ("lightgbm3", &["lgbm"]),
    ("linfa-svm", &["svm"]),
];

/// Crates from elsewhere that these packages must do without: they do no I/O and have no clock.
const PURE: [(&str, &[&str]); 3] = [
    ("model", &["zmq", "tokio", "axum", "ndarray", "rustix"]),
    ("wire", &["zmq", "tokio", "axum", "rustix"]),
    (
        "scheduler",
        &["wire", "zmq", "tokio", "axum", "rustix", "rand"],
    ),
];

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().unwrap()
}

/// Each package's normal dependencies.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata().packages.into_iter();
    packages
        .map(|package| {
            let normal = package.dependencies.iter();
            let normal = normal.filter(|d| d.kind != DependencyKind::Development);
            let names = normal.map(|d| d.name.clone()).collect();
            (package.name.to_string(), names)
        })
        .collect()
}

#[test]
fn packages_depend_only_on_those_that_the_architecture_allows() {
    let dependencies = dependencies();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let here: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(
        here,
        allowed.keys().copied().collect(),
        "packages of the workspace"
    );
    for (package, names) in &dependencies {
        for name in names.iter().filter(|name| here.contains(name.as_str())) {
            assert!(
                allowed[package.as_str()].contains(&name.as_str()),
                "{package} may not depend on {name}: see ARCHITECTURE.md"
            );
        }
    }
}

#[test]
fn engines_stay_where_they_belong_and_pure_crates_pure() {
    for (package, names) in dependencies() {
        for (engine, owners) in ENGINES {
            let owns = owners.contains(&package.as_str());
            assert!(
                owns || !names.contains(engine),
                "{package} may not use {engine}"
            );
        }
        for (pure, without) in PURE {
            let breach = without
                .iter()
                .find(|name| package == pure && names.contains(**name));
            assert!(breach.is_none(), "{package} may not use {breach:?}");
        }
    }
}

/// Every crate that these flags of `cargo tree` list, with its features.
fn features(flags: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--prefix",
            "none",
            "--format",
            "{p} [{f}]",
        ])
        .args(flags.split(' '))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| line.replace(" (*)", "").replace(" (proc-macro)", "");
    lines.lines().map(line).collect()
}

#[test]
fn programs_that_are_started_by_their_package_share_what_is_compiled_with_the_whole_workspace() {
    let part = |of: &str| {
        // What is compiled to run while compiling, and what is not, have features of their own.
        ["normal,no-proc-macro", "no-dev"].map(|edges| features(&format!("{of} --edges {edges}")))
    };
    let workspace = part("--workspace");
    let servers = ["vgg", "inception", "svm", "lgbm"];
    let built = servers.map(|model| {
        // What the driver builds for a sweep.
        format!("--package frontend --package noop --package {model}")
    });
    let started = ["driver", "endurance", "xtask"].map(|package| format!("--package {package}"));
    for packages in started.iter().chain(&built) {
        for (package_s, workspace_s) in part(packages).iter().zip(&workspace) {
            let other = package_s.difference(workspace_s);
            // svm trains only for xtask and in tests.
            let other: Vec<_> = other.filter(|line| !line.starts_with("svm ")).collect();
            assert!(
                other.is_empty(),
                "{packages}: crates/workspace-hack/Cargo.toml lacks what the workspace gives these: {other:#?}"
            );
        }
    }
    let tests = features("--workspace");
    let both_engines = features("--workspace --features featurizer/tch");
    for (less, more) in [(&workspace[1], &tests), (&tests, &both_engines)] {
        let other = less.difference(more);
        let other: Vec<_> = other
            .filter(|line| !line.starts_with("featurizer "))
            .collect();
        assert!(other.is_empty(), "features that come and go: {other:#?}");
    }
}

#[test]
fn a_models_library_knows_neither_the_runtime_nor_the_wire() {
    for source in sources() {
        let path = source.to_string_lossy().into_owned();
        if path.contains("/containers/") && path.contains("/src/") && !path.ends_with("main.rs") {
            let text = fs::read_to_string(&source).unwrap();
            for name in ["container::", "wire::", "zmq::"] {
                let uses = text
                    .lines()
                    .any(|line| line.trim_start().starts_with(&format!("use {name}")));
                assert!(!uses, "{path} may not use {name}");
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for source in sources() {
        let text = fs::read_to_string(&source).unwrap();
        assert!(
            text.starts_with("//!"),
            "{} starts without //!",
            source.display()
        );
    }
}

#[test]
fn no_file_does_everything() {
    for source in sources() {
        let text = fs::read_to_string(&source).unwrap();
        let code = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default();
        let lines = code.lines().count();
        assert!(
            lines <= 500,
            "{} has {lines} lines: split it",
            source.display()
        );
    }
}

#[test]
fn unsafe_code_is_in_one_module() {
    let with_unsafe: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.ends_with("tests/tidy.rs"))
        .filter(|source| fs::read_to_string(source).unwrap().contains("unsafe {"))
        .collect();
    let names: Vec<_> = with_unsafe
        .iter()
        .filter_map(|path| path.file_name())
        .collect();
    assert_eq!(names, ["frame.rs"], "{with_unsafe:?}");
}

/// Every Rust file of the workspace.
fn sources() -> Vec<PathBuf> {
    let root = metadata().workspace_root.into_std_path_buf();
    let mut found = Vec::new();
    for folder in ["crates", "containers", "benches"] {
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
