//! Checks the rules of ARCHITECTURE.md over `cargo metadata` and the sources.
#![allow(clippy::unwrap_used, reason = "tests")]

mod circles;
mod language;
mod signatures;
mod sizes;
mod sources;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use signatures::Rule;
use sources::Crate;

/// Allowed dependencies within the workspace, tests and benches aside. Every package must be listed.
const ARROWS: [(&str, &[&str]); 28] = [
    ("lightgbm3-sys", &[]),
    ("workspace-hack", &[]),
    ("model", &[]),
    ("onnx", &[]),
    ("picture", &[]),
    ("wire", &["model"]),
    ("transport", &["wire"]),
    ("scheduler", &["model"]),
    ("simulation", &["model", "scheduler"]),
    ("featurizer", &["model", "onnx", "picture"]),
    ("container", &["model", "transport", "wire"]),
    ("picture-server", &["container", "featurizer"]),
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
        &["featurizer", "model", "picture-server", "workspace-hack"],
    ),
    (
        "inception",
        &["featurizer", "model", "picture-server", "workspace-hack"],
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
    (
        "benches",
        &[
            "container",
            "featurizer",
            "loadgen",
            "model",
            "scheduler",
            "simulation",
            "transport",
            "wire",
        ],
    ),
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

/// External crates that only these packages may depend on.
const ENGINES: [(&str, &[&str]); 4] = [
    ("ort", &["featurizer"]),
    ("tch", &["featurizer"]),
    ("lightgbm3", &["lgbm"]),
    ("linfa-svm", &["svm"]),
];

/// External crates that these packages must not use: they do no I/O and have no clock.
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
fn programs_share_compiled_dependencies_with_the_workspace() {
    let part = |of: &str| {
        // Build scripts and procedural macros have their features apart from the programs'.
        ["normal,no-proc-macro", "no-dev"].map(|edges| features(&format!("{of} --edges {edges}")))
    };
    let workspace = part("--workspace");
    let servers = ["vgg", "inception", "svm", "lgbm"];
    let built = servers.map(|model| {
        // The command by which the driver builds for a sweep.
        format!("--package frontend --package noop --package {model}")
    });
    let started = ["driver", "endurance", "xtask"].map(|package| format!("--package {package}"));
    for packages in started.iter().chain(&built) {
        for (package_s, workspace_s) in part(packages).iter().zip(&workspace) {
            let other = package_s.difference(workspace_s);
            // svm has its training code only for xtask and in tests.
            let other: Vec<_> = other.filter(|line| !line.starts_with("svm ")).collect();
            assert!(
                other.is_empty(),
                "{packages}: crates/workspace-hack/Cargo.toml lacks what the workspace gives these; \
                 run `cargo hakari generate` (cargo install cargo-hakari): {other:#?}"
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

/// Fails with all breaches of a rule, over all crates.
fn assert_none(breaches: impl Fn(&Crate) -> Vec<String>) {
    let crates = sources::crates(&metadata());
    let found: Vec<_> = crates.iter().flat_map(breaches).collect();
    assert!(
        found.is_empty(),
        "see \"Rules for the sources\" in ARCHITECTURE.md:\n{}",
        found.join("\n")
    );
}

#[test]
fn files_of_a_crate_form_no_circle() {
    assert_none(circles::find);
}

#[test]
fn visible_functions_take_no_tuple() {
    assert_none(|of| signatures::find(Rule::Tuple, of));
}

#[test]
fn visible_types_hold_no_array_of_figures() {
    assert_none(|of| signatures::find(Rule::Figures, of));
}

#[test]
fn public_functions_of_libraries_fail_with_a_typed_error() {
    assert_none(|of| signatures::find(Rule::Error, of));
}

#[test]
fn no_public_type_name_is_used_by_two_packages() {
    let found = language::shared_type_names(&sources::crates(&metadata()));
    assert!(
        found.is_empty(),
        "see \"Language\" in ARCHITECTURE.md:\n{}",
        found.join("\n")
    );
}

#[test]
fn files_have_400_lines_and_functions_80() {
    assert_none(|of| of.modules.iter().flat_map(sizes::too_long).collect());
}
