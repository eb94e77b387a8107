//! What happens where standard output takes nothing: a full disk, or a reader that has gone.

use std::{
    fs::{self, File},
    io,
    path::Path,
    process::{Command, Stdio},
};

use results::fixture::{Made, put};

use crate::path;

/// Everything that the driver prints, for a folder with results.
fn printing(folder: &str) -> Vec<Vec<&str>> {
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

/// The exit status, and what was said, of a driver that prints to this.
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
    let made = Made::new("vgg", 1, 2);
    put(folder, &made.file(), &made.speed());
}

#[test]
fn a_full_standard_output_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    one_point(folder.path());
    for arguments in printing(path(&folder)) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (status, said) = printed_to(full, &arguments);
        assert_eq!(status, Some(1), "{arguments:?}: {said}");
        assert!(
            said.contains("cannot write to standard output: No space left"),
            "{arguments:?}: {said}"
        );
    }
    // What was to be written to files was written.
    assert!(folder.path().join("report.html").exists());
}

#[test]
fn a_reader_that_has_gone_ends_the_output_quietly() {
    let folder = tempfile::tempdir().unwrap();
    one_point(folder.path());
    for arguments in printing(path(&folder)) {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (status, said) = printed_to(writer, &arguments);
        assert_eq!(status, Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("standard output"), "{arguments:?}: {said}");
        assert!(!said.contains("pipe"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_gate_fails_though_nobody_reads_its_table() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    one_point(a.path());
    let mut made = Made::new("vgg", 1, 2);
    made.qps /= 2.0;
    put(b.path(), &made.file(), &made.speed());
    let junit = b.path().join("junit.xml");
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let gate = ["--fail_below", "0.9", "--junit", junit.to_str().unwrap()];
    let arguments = [&["compare", path(&a), path(&b)], &gate[..]].concat();
    let (status, said) = printed_to(writer, &arguments);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("below 0.9"), "{said}");
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(xml.contains(r#"failures="1""#), "{xml}");
}
