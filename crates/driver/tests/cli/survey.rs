//! `driver survey` where models fail and flags make no sense.

use std::fs;

use crate::{Ended, command, ended, installed, sweep};

#[test]
fn survey_goes_on_after_models_that_fail() {
    let folder = installed("echo no such artifact >&2; exit 3");
    let ended = sweep(folder.path(), "survey --models noop vgg --minutes 1");
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    for part in [
        "No model was measured.",
        "* noop was not measured: frontend exited during start-up (exit status: 3)",
        "* vgg was not measured: frontend exited during start-up (exit status: 3)",
        "no such artifact",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    // The logs of the trials that failed are kept, and no sweep was begun.
    let made = fs::read_dir(folder.path().join("results")).unwrap();
    let names: Vec<_> = made.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["trials"]);
    let trials = fs::read_dir(folder.path().join("results/trials")).unwrap();
    assert_eq!(trials.count(), 2);
}

#[test]
fn survey_that_makes_no_sense_starts_nothing() {
    let folder = installed("exit 3");
    for (line, says) in [
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
        let Ended { status, stderr, .. } = sweep(folder.path(), &format!("survey {line}"));
        assert_eq!(status, 2, "{line}: {stderr}");
        assert!(stderr.contains(says), "{line}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{line}: {stderr}");
    }
    assert!(!folder.path().join("results").exists());
}

#[test]
fn survey_refuses_variables_about_one_model() {
    let folder = installed("exit 3");
    let mut command = command(folder.path(), "survey --models noop");
    command.env("CLIPPER_MODEL_PATH", "my.onnx");
    let ended = ended(command);
    assert_eq!(ended.status, 2, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("CLIPPER_MODEL_PATH is set"),
        "{}",
        ended.stderr
    );
}
