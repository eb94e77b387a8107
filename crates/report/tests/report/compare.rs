//! Output and exit status of `driver compare`.

use std::fs;

use tempfile::TempDir;

use results::fixture::{SyntheticTrial, put};

use crate::{CompareOutput, compare};

/// Makes a sweep with these throughputs at batch sizes 1, 2, 4 and so on; zero is an INVALID point.
fn with_rates(rates: &[f64]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, &qps) in rates.iter().enumerate() {
        let mut made = SyntheticTrial::new("vgg", 1, 1 << index);
        match qps > 0.0 {
            true => made.qps = qps,
            false => made.status = "INVALID",
        }
        put(folder.path(), &made.file(), &made.speed());
    }
    folder
}

#[test]
fn comparison_states_ratios_and_their_significance() {
    let (a, b) = (
        with_rates(&[100.0, 100.0, 100.0]),
        with_rates(&[200.0, 101.0, 80.0, 50.0]),
    );
    let CompareOutput {
        status,
        printed,
        remarks,
    } = compare(&a, &b, &[]);
    assert_eq!(status, 0, "{remarks}");
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
fn broken_limit_fails_the_command_and_the_junit_case() {
    let (a, b) = (
        with_rates(&[100.0, 100.0, 0.0, 100.0]),
        with_rates(&[99.0, 80.0, 100.0, 0.0]),
    );
    let junit = b.path().join("junit.xml");
    let run = |limits: &[&str]| {
        let file = ["--junit", junit.to_str().unwrap()];
        let CompareOutput {
            status, remarks, ..
        } = compare(&a, &b, &[&file, limits].concat());
        (status, remarks, fs::read_to_string(&junit).unwrap())
    };
    let (status, remarks, xml) = run(&["--fail_below", "0.95"]);
    assert_eq!(status, 1);
    assert!(
        remarks.contains("batch 2, profile: the throughput is 0.800 ("),
        "{remarks}"
    );
    assert!(remarks.contains("below 0.95"), "{remarks}");
    assert!(
        remarks.contains("batch 8, profile: it is INVALID in B"),
        "{remarks}"
    );
    assert!(
        xml.contains(r#"tests="4""#) && xml.contains(r#"failures="3""#),
        "{xml}"
    );
    for text in [&remarks, &xml] {
        assert!(
            text.contains("it is INVALID in A: 1 replica died"),
            "{text}"
        );
    }
    // The interval includes 0.8.
    let (status, remarks, _) = run(&["--fail_below", "0.8", "--fail_above", "1.2"]);
    assert_eq!(status, 1);
    assert!(!remarks.contains("the throughput is"), "{remarks}");
    let (status, remarks, xml) = run(&[]);
    assert_eq!(status, 0, "{remarks}");
    assert!(xml.contains(r#"failures="0""#), "{xml}");
}

#[test]
fn p99_above_its_limit_fails() {
    let (a, b) = (with_rates(&[100.0]), with_rates(&[50.0]));
    let CompareOutput {
        status, remarks, ..
    } = compare(&a, &b, &["--fail_above", "1.5"]);
    assert_eq!(status, 1);
    assert!(remarks.contains("the p99 is 2.00 ("), "{remarks}");
    let CompareOutput {
        status, remarks, ..
    } = compare(&a, &b, &["--fail_above", "1.9"]);
    assert_eq!(status, 0, "{remarks}");
}

#[test]
fn sweeps_without_common_points_and_invalid_limits_are_refused() {
    let a = with_rates(&[100.0]);
    let b = tempfile::tempdir().unwrap();
    put(
        b.path(),
        "results-1.json",
        &SyntheticTrial::new("svm", 1, 1).speed(),
    );
    let CompareOutput {
        status, remarks, ..
    } = compare(&a, &b, &[]);
    assert_eq!(status, 2);
    assert!(remarks.contains("no point in common"), "{remarks}");
    let CompareOutput {
        status, remarks, ..
    } = compare(&a, &a, &["--fail_below", "0"]);
    assert_eq!(status, 2);
    assert!(
        remarks.contains("--fail_below takes a number above zero"),
        "{remarks}"
    );
}
