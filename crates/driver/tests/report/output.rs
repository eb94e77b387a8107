//! Output to a full disk, or to a pipe whose reader has closed it.

use std::{
    fs::{self, File},
    io,
    path::Path,
    process::{Command, Stdio},
};

use results::fixture::{SyntheticTrial, put};

use crate::path;

/// Returns all command lines that print to standard output, for a folder with results.
fn printing_commands(folder: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["report", folder],
        vec!["compare", folder, folder],
        vec!["import", folder],
        vec!["schema"],
        vec!["self-test", "-d", "0.01", "--input_bytes", "40"],
        vec!["completions", "bash"],
        vec!["man"],
        vec!["--help"],
        vec!["-h"],
        vec!["--version"],
        vec!["help", "compare"],
    ]
}

/// Returns the exit status and standard error of a driver with this standard output.
fn printed_to(output: impl Into<Stdio>, arguments: &[&str]) -> (Option<i32>, String) {
    let child = Command::new(env!("CARGO_BIN_EXE_driver"))
        .args(arguments)
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn one_point(folder: &Path) {
    let made = SyntheticTrial::new("vgg", 1, 2);
    put(folder, &made.file(), &made.speed());
}

#[test]
fn a_full_standard_output_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    one_point(folder.path());
    for arguments in printing_commands(path(&folder)) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (status, stderr) = printed_to(full, &arguments);
        assert_eq!(status, Some(1), "{arguments:?}: {stderr}");
        assert!(
            stderr.contains("cannot write to standard output: No space left"),
            "{arguments:?}: {stderr}"
        );
    }
    // Files are written nevertheless.
    assert!(folder.path().join("report.html").exists());
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    one_point(folder.path());
    for arguments in printing_commands(path(&folder)) {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (status, stderr) = printed_to(writer, &arguments);
        assert_eq!(status, Some(0), "{arguments:?}: {stderr}");
        assert!(
            !stderr.contains("standard output"),
            "{arguments:?}: {stderr}"
        );
        assert!(!stderr.contains("pipe"), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_closed_pipe_does_not_hide_a_failed_gate() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    one_point(a.path());
    let mut made = SyntheticTrial::new("vgg", 1, 2);
    made.qps /= 2.0;
    put(b.path(), &made.file(), &made.speed());
    let junit = b.path().join("junit.xml");
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let gate = ["--fail_below", "0.9", "--junit", junit.to_str().unwrap()];
    let arguments = [&["compare", path(&a), path(&b)], &gate[..]].concat();
    let (status, stderr) = printed_to(writer, &arguments);
    assert_eq!(status, Some(1), "{stderr}");
    assert!(stderr.contains("below 0.9"), "{stderr}");
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(xml.contains(r#"failures="1""#), "{xml}");
}
