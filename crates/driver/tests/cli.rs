//! The program with command lines that make no sense: one clear line, an exit status, nothing started.
#![expect(clippy::unwrap_used, reason = "what a test stands on may panic")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

struct Ended {
    status: i32,
    stdout: String,
    stderr: String,
}

fn driver(line: &str, results: &Path) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_driver"))
        .args(line.split(' '))
        .arg("--results_dir")
        .arg(results)
        .env_remove("CLIPPER_INPUT_TYPE")
        .output()
        .unwrap();
    Ended {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn what_cannot_be_measured_is_one_line_and_status_2() {
    let folder = tempfile::tempdir().unwrap();
    for (line, says) in [
        ("-m vgh", "there is no model \"vgh\""),
        ("-m noop -b 0", "--batch_sizes takes whole numbers from 1"),
        (
            "-m noop --num-replicas ,",
            "--num_replicas is an empty list",
        ),
        ("-m noop --model_cpus 1023", "names core 1023"),
        (
            "-m noop --cpus_per_replica_nums 90000",
            "replicas x 90000 CPUs",
        ),
        ("-m svm --model_gpus 0", "svm computes on CPU only"),
        (
            "-m vgg --num_replicas 2 --model_gpus 0",
            "2 replicas need a GPU each",
        ),
        (
            "-m vgg --input_dir /nowhere",
            "--input_dir /nowhere cannot be read",
        ),
    ] {
        let ended = driver(line, folder.path());
        assert_eq!(ended.status, 2, "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(says), "{line}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{line}: {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}

#[test]
fn artifact_and_input_type_may_come_from_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_driver"))
        .args(["-m", "svm", "-d", "1", "--results_dir"])
        .arg(folder.path())
        .env_remove("CARGO") // nothing is built
        .env("CLIPPER_INPUT_TYPE", "strings")
        .output()
        .unwrap();
    let says = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{says}");
    assert!(says.contains("svm does not take"), "{says}");
}

#[test]
fn what_the_driver_starts_sees_no_clipper_variable_of_the_users_shell() {
    let folder = tempfile::tempdir().unwrap();
    let release = folder.path().join("release");
    fs::create_dir(&release).unwrap();
    let own = release.join("driver");
    fs::copy(env!("CARGO_BIN_EXE_driver"), &own).unwrap();
    for program in ["frontend", "noop"] {
        let path = release.join(program);
        fs::write(
            &path,
            "#!/bin/sh\nenv | grep -e CLIPPER -e KEPT >&2; exit 3\n",
        )
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let ended = Command::new(own)
        .args(["-m", "noop", "--results_dir"])
        .arg(folder.path())
        .env_remove("CARGO") // nothing is built
        .envs([("CLIPPER_GPU_MEM_FRAC", "0.5"), ("KEPT", "yes")])
        .output()
        .unwrap();
    let says = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{says}");
    assert!(says.contains("frontend exited during start-up"), "{says}");
    assert!(says.contains("KEPT=yes"), "{says}");
    assert!(!says.contains("CLIPPER_GPU"), "{says}");
}

#[test]
fn a_clipper_variable_that_would_be_lost_is_refused() {
    let ended = Command::new(env!("CARGO_BIN_EXE_driver"))
        .args(["-m", "noop"])
        .env("CLIPPER_DEVICE", "cuda:0")
        .output()
        .unwrap();
    let says = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{says}");
    assert!(says.contains("CLIPPER_DEVICE is set"), "{says}");
}

#[test]
fn a_model_must_be_named_and_flags_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["-b 1", "-m noop --no_such_flag 1"] {
        let ended = driver(line, folder.path());
        assert_eq!(ended.status, 2, "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains("--help"), "{line}: {}", ended.stderr);
    }
}

#[test]
fn a_results_folder_that_cannot_be_written_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ended = driver("-m noop", file.path());
    assert_eq!(ended.status, 2, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("choose another folder with --results_dir"),
        "{}",
        ended.stderr
    );
}

#[test]
fn help_teaches_every_flag_with_examples() {
    let folder = tempfile::tempdir().unwrap();
    let ended = driver("--help", folder.path());
    assert_eq!(ended.status, 0);
    for part in [
        "--model_name",
        "--duration_seconds",
        "--batch_sizes",
        "--num_replicas",
        "--model_cpus",
        "--cpus_per_replica_nums",
        "--model_gpus",
        "--engine",
        "--accuracy",
        "--num_clients",
        "--results_dir",
        "--input_dir",
        "--input_type",
        "--slo_ms",
        "--model_path",
        "--in_flight",
        "--seed",
        "--accuracy",
        "--labels",
        "Examples:",
    ] {
        assert!(ended.stdout.contains(part), "{part}");
    }
}
