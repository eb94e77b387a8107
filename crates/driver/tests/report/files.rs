//! Output and files of `driver report` and `driver schema`.

use std::{fs, path::Path, process::Command};

use results::fixture::{SyntheticTrial, put, sweep};

use crate::{driver, path};

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn report_prints_the_table_and_writes_three_files() {
    let folder = tempfile::tempdir().unwrap();
    sweep(folder.path());
    let (status, stdout, stderr) = driver(&["report", path(&folder)]);
    assert_eq!(status, 0, "{stderr}");
    // One row is the header.
    assert_eq!(stdout.matches("\n| ").count(), 25, "{stdout}");
    assert!(stderr.contains("report.html"), "{stderr}");
    assert!(!stderr.contains("left out"), "{stderr}");
    let markdown = read(folder.path(), "summary.md");
    for part in [
        "# vgg: 24 points\n\nvgg serves 72.9 queries/s (95 % interval 70.7 to 74.4) with 3 replicas x 1 CPU at batch 32; p99",
        ". 2 of 24 points are INVALID or did not run, 1 is SUSPECT.\n",
        "\nRecommendation: for 50 queries/s take vgg, 3 replicas",
    ] {
        assert!(markdown.contains(part), "{part}: {markdown}");
    }
    assert!(markdown.contains(stdout.trim()), "{markdown}");
    assert!(read(folder.path(), "report.html").starts_with("<!DOCTYPE html>"));
}

#[test]
fn without_utf8_the_output_is_ascii() {
    let folder = tempfile::tempdir().unwrap();
    sweep(folder.path());
    let dir = path(&folder);
    for arguments in [
        &["report", dir][..],
        &["compare", dir, dir],
        &["import", dir],
        &["self-test", "-d", "0.01", "--input_bytes", "40"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_driver"))
            .args(arguments)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}");
        for bytes in [output.stdout, output.stderr] {
            let text = String::from_utf8(bytes).unwrap();
            assert!(text.is_ascii(), "{arguments:?}: {text}");
        }
    }
    assert!(read(folder.path(), "summary.md").is_ascii());
}

#[test]
fn other_files_are_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let made = SyntheticTrial::new("svm", 1, 4);
    put(folder.path(), &made.file(), &made.speed());
    fs::write(folder.path().join("results-old.json"), r#"{"format": 1}"#).unwrap();
    fs::write(
        folder.path().join("results-cut.json"),
        r#"{"format": 3, "rou"#,
    )
    .unwrap();
    let (status, stdout, stderr) = driver(&["report", path(&folder)]);
    assert_eq!(status, 0, "{stderr}");
    assert_eq!(stdout.matches("\n| ").count(), 2, "{stdout}");
    assert!(
        stderr.contains("results-old.json: format 1 is unknown"),
        "{stderr}"
    );
    assert!(
        stderr.contains("results-cut.json: not a result file"),
        "{stderr}"
    );
    assert!(
        read(folder.path(), "report.html").contains("results-old.json</code>: format 1 is unknown")
    );
}

#[test]
fn a_folder_without_results_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (status, _, stderr) = driver(&["report", path(&folder)]);
    assert_eq!(status, 1);
    assert!(stderr.contains("no result file in"), "{stderr}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let (status, _, stderr) = driver(&["report", "/nowhere"]);
    assert_eq!(status, 1);
    assert!(
        stderr.contains("cannot read the folder /nowhere"),
        "{stderr}"
    );
}

#[test]
fn results_are_valid_by_the_schema() {
    let (status, stdout, _) = driver(&["schema"]);
    assert_eq!(status, 0);
    let mut made = SyntheticTrial::new("vgg", 2, 8);
    made.gpus = 2;
    let results = [made.speed(), made.accuracy(190), made.not_run("no memory")];
    let results = results.map(|result| {
        let read: results::Trial = serde_json::from_value(result).unwrap();
        serde_json::to_value(read).unwrap()
    });
    let errors = testkit::schema_errors(&stdout, &results);
    assert!(errors.iter().all(Vec::is_empty), "{errors:?}");
}
