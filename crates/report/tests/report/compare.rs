//! What `driver compare` says, and when it fails.

use std::fs;

use tempfile::TempDir;

use results::fixture::{Made, put};

use crate::{Compared, compare};

/// A sweep with these throughputs at batch sizes 1, 2, 4 and so on; zero is an INVALID point.
fn with_rates(rates: &[f64]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, &qps) in rates.iter().enumerate() {
        let mut made = Made::new("vgg", 1, 1 << index);
        match qps > 0.0 {
            true => made.qps = qps,
            false => made.status = "INVALID",
        }
        put(folder.path(), &made.file(), &made.speed());
    }
    folder
}

#[test]
fn a_comparison_says_what_has_changed_and_whether_that_is_more_than_chance() {
    let (a, b) = (
        with_rates(&[100.0, 100.0, 100.0]),
        with_rates(&[200.0, 101.0, 80.0, 50.0]),
    );
    let Compared {
        status,
        printed,
        said,
    } = compare(&a, &b, &[]);
    assert_eq!(status, 0, "{said}");
    let lines: Vec<_> = printed
        .lines()
        .filter(|line| line.contains("batch"))
        .collect();
    assert!(
        lines[0].contains("2.00 (1.9") && lines[0].contains("higher"),
        "{printed}"
    );
    assert!(
        lines[1].contains("1.01 (0.97") && lines[1].contains("not significant"),
        "{printed}"
    );
    assert!(
        lines[2].contains("0.800 (0.7") && lines[2].contains("lower"),
        "{printed}"
    );
    assert!(
        printed
            .contains("not compared, vgg, 1 replica x 1 CPU, batch 8, profile: it is missing in A"),
        "{printed}"
    );
}

#[test]
fn a_limit_that_is_broken_for_sure_is_exit_status_1_and_a_failure_in_the_junit_file() {
    let (a, b) = (
        with_rates(&[100.0, 100.0, 0.0, 100.0]),
        with_rates(&[99.0, 80.0, 100.0, 0.0]),
    );
    let junit = b.path().join("junit.xml");
    let run = |limits: &[&str]| {
        let file = ["--junit", junit.to_str().unwrap()];
        let Compared { status, said, .. } = compare(&a, &b, &[&file, limits].concat());
        (status, said, fs::read_to_string(&junit).unwrap())
    };
    let (status, said, xml) = run(&["--fail_below", "0.95"]);
    assert_eq!(status, 1);
    assert!(
        said.contains("batch 2, profile: the throughput is 0.800 ("),
        "{said}"
    );
    assert!(said.contains("below 0.95"), "{said}");
    assert!(
        said.contains("batch 8, profile: it is INVALID in B"),
        "{said}"
    );
    assert!(
        xml.contains(r#"tests="4""#) && xml.contains(r#"failures="3""#),
        "{xml}"
    );
    for text in [&said, &xml] {
        assert!(
            text.contains("it is INVALID in A: 1 replica died"),
            "{text}"
        );
    }
    // Not below for sure, and half the rate is twice the time between.
    let (status, said, _) = run(&["--fail_below", "0.8", "--fail_above", "1.2"]);
    assert_eq!(status, 1);
    assert!(!said.contains("the throughput is"), "{said}");
    let (status, said, xml) = run(&[]);
    assert_eq!(status, 0, "{said}");
    assert!(xml.contains(r#"failures="0""#), "{xml}");
}

#[test]
fn a_p99_above_its_limit_for_sure_is_exit_status_1() {
    let (a, b) = (with_rates(&[100.0]), with_rates(&[50.0]));
    let Compared { status, said, .. } = compare(&a, &b, &["--fail_above", "1.5"]);
    assert_eq!(status, 1);
    assert!(said.contains("the p99 is 2.00 ("), "{said}");
    let Compared { status, said, .. } = compare(&a, &b, &["--fail_above", "1.9"]);
    assert_eq!(status, 0, "{said}");
}

#[test]
fn sweeps_without_a_common_point_and_limits_that_are_none_are_refused() {
    let a = with_rates(&[100.0]);
    let b = tempfile::tempdir().unwrap();
    put(b.path(), "results-1.json", &Made::new("svm", 1, 1).speed());
    let Compared { status, said, .. } = compare(&a, &b, &[]);
    assert_eq!(status, 2);
    assert!(said.contains("no point in common"), "{said}");
    let Compared { status, said, .. } = compare(&a, &a, &["--fail_below", "0"]);
    assert_eq!(status, 2);
    assert!(
        said.contains("--fail_below takes a number above zero"),
        "{said}"
    );
}
