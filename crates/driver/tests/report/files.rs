//! What `driver report` and `driver schema` print and leave.

use std::{fs, path::Path};

use results::fixture::{Made, put, sweep};

use crate::{driver, path};

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn a_report_prints_the_table_leaves_three_files_and_says_where_the_page_is() {
    let folder = tempfile::tempdir().unwrap();
    sweep(folder.path());
    let (status, printed, said) = driver(&["report", path(&folder)]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(printed.matches("\n| ").count(), 24, "{printed}");
    assert!(said.contains("report.html"), "{said}");
    assert!(!said.contains("left out"), "{said}");
    let markdown = read(folder.path(), "summary.md");
    assert!(
        markdown.starts_with(
            "# vgg: 24 points\n\nAt most 72.9 (70.7 to 74.4) queries/s, with 3 × 1 CPU, batch 32. And for 50 queries/s take vgg, 3 replicas"
        ),
        "{markdown}"
    );
    assert!(
        markdown.contains(". Left out: 2 of 24 points (1 INVALID, 1 NOT RUN).\n"),
        "{markdown}"
    );
    assert!(markdown.contains(printed.trim()), "{markdown}");
    assert!(read(folder.path(), "report.html").starts_with("<!DOCTYPE html>"));
}

#[test]
fn files_that_are_no_results_are_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let made = Made::new("svm", 1, 4);
    put(folder.path(), &made.file(), &made.speed());
    fs::write(folder.path().join("results-old.json"), r#"{"format": 1}"#).unwrap();
    fs::write(
        folder.path().join("results-cut.json"),
        r#"{"format": 2, "rou"#,
    )
    .unwrap();
    let (status, printed, said) = driver(&["report", path(&folder)]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(printed.matches("\n| ").count(), 1, "{printed}");
    assert!(
        said.contains("results-old.json: it is of format 1"),
        "{said}"
    );
    assert!(said.contains("results-cut.json: it is no result"), "{said}");
    assert!(
        read(folder.path(), "report.html").contains("results-old.json</code>: it is of format 1")
    );
}

#[test]
fn a_folder_without_results_is_an_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (status, _, said) = driver(&["report", path(&folder)]);
    assert_eq!(status, 1);
    assert!(said.contains("there is no result file in"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let (status, _, said) = driver(&["report", "/nowhere"]);
    assert_eq!(status, 1);
    assert!(said.contains("cannot read the folder /nowhere"), "{said}");
}

#[test]
fn the_schema_is_printed_and_results_are_valid_by_it() {
    let (status, printed, _) = driver(&["schema"]);
    assert_eq!(status, 0);
    let mut made = Made::new("vgg", 2, 8);
    made.gpus = 2;
    let results = [made.speed(), made.accuracy(190), made.not_run("no memory")];
    let results = results.map(|result| {
        let read: results::Trial = serde_json::from_value(result).unwrap();
        serde_json::to_value(read).unwrap()
    });
    let errors = testkit::schema_errors(&printed, &results);
    assert!(errors.iter().all(Vec::is_empty), "{errors:?}");
}
