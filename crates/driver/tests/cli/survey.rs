//! `driver survey` with models that fail and flags that are refused.

use std::fs;

use crate::{DriverOutput, command, installed, output, sweep};

#[test]
fn survey_continues_after_models_that_fail() {
    let folder = installed("echo no such artifact >&2; exit 3");
    let output = sweep(folder.path(), "survey --models noop vgg --minutes 1");
    assert_eq!(output.status, 1, "{}", output.stderr);
    for part in [
        "No model was measured.",
        "* noop was not measured: frontend exited during start-up (exit status: 3)",
        "* vgg was not measured: frontend exited during start-up (exit status: 3)",
        "no such artifact",
    ] {
        assert!(output.stdout.contains(part), "{part}: {}", output.stdout);
    }
    // The logs of the failed sizing runs are kept, and no sweep has started.
    let made = fs::read_dir(folder.path().join("results")).unwrap();
    let names: Vec<_> = made.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["trials"]);
    let trials = fs::read_dir(folder.path().join("results/trials")).unwrap();
    assert_eq!(trials.count(), 2);
}

#[test]
fn refused_flags_start_nothing() {
    let folder = installed("exit 3");
    for (line, expected) in [
        ("--models vgh", "there is no model \"vgh\""),
        (
            "--models noop --minutes -1",
            "'--minutes <MINUTES>': not a number above zero",
        ),
        (
            "--models noop --minutes nan",
            "'--minutes <MINUTES>': not a number above zero",
        ),
        (
            "--models noop --minutes inf",
            "'--minutes <MINUTES>': not a number above zero",
        ),
        (
            "--models noop --batch_sizes 0",
            "'--batch_sizes <N>...': \"0\" is not a whole number from 1",
        ),
        (
            "--models noop --num_replicas ,",
            "--num_replicas is an empty list",
        ),
        (
            "--models vgg --pictures /nowhere",
            "/nowhere cannot be read",
        ),
    ] {
        let DriverOutput { status, stderr, .. } = sweep(folder.path(), &format!("survey {line}"));
        assert_eq!(status, 2, "{line}: {stderr}");
        assert!(stderr.contains(expected), "{line}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{line}: {stderr}");
    }
    assert!(!folder.path().join("results").exists());
}

#[test]
fn variables_for_one_model_are_refused() {
    let folder = installed("exit 3");
    let mut command = command(folder.path(), "survey --models noop");
    command.env("CLIPPER_MODEL_PATH", "my.onnx");
    let output = output(command);
    assert_eq!(output.status, 2, "{}", output.stderr);
    assert!(
        output.stderr.contains("CLIPPER_MODEL_PATH is set"),
        "{}",
        output.stderr
    );
}
