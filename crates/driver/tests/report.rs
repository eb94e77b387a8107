//! The reports of sweeps that are on disk, as somebody finds them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};
use support::{Made, put, sweep};
use tempfile::TempDir;

/// Runs the driver: its exit status, what it printed and what it said.
fn driver(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_driver"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

/// A report of what `fill` puts into a folder.
fn reported(fill: impl FnOnce(&Path)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let (status, _, said) = driver(&["report", path(&folder)]);
    assert_eq!(status, 0, "{said}");
    folder
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
    assert!(markdown.contains(printed.trim()), "{markdown}");
    assert!(read(folder.path(), "report.html").starts_with("<!DOCTYPE html>"));
}

#[test]
fn the_csv_has_one_row_for_each_phase_of_each_point() {
    let folder = reported(sweep);
    let mut reader = csv::Reader::from_path(folder.path().join("summary.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let rows: Vec<_> = reader.records().map(|row| row.unwrap()).collect();
    // 23 points and the zero with three phases each, and one point that could not run.
    assert_eq!(rows.len(), 24 * 3 + 1);
    let cell = |row: &csv::StringRecord, name: &str| {
        let column = header.iter().position(|column| column == name).unwrap();
        row[column].to_owned()
    };
    let of = |replicas: &str, batch: &str| {
        let here = |row: &&csv::StringRecord| {
            cell(row, "model") == "vgg"
                && cell(row, "replicas") == replicas
                && cell(row, "batch_size") == batch
        };
        rows.iter().filter(here).collect::<Vec<_>>()
    };
    let phases: Vec<_> = of("1", "1").iter().map(|row| cell(row, "phase")).collect();
    assert_eq!(phases, ["throughput", "latency", "latency"]);
    assert_eq!(cell(of("1", "1")[0], "throughput_qps"), "9.0");
    assert_eq!(cell(of("1", "1")[0], "in_flight"), "3");
    assert_eq!(cell(of("1", "1")[1], "offered_qps"), "4.5");
    assert_eq!(cell(of("1", "32")[0], "verdict"), "SUSPECT");
    assert_eq!(cell(of("1", "32")[0], "reasons"), "batch_fill");
    let [not_run] = of("4", "32")[..] else {
        panic!("one row")
    };
    assert!(cell(not_run, "not_run").contains("9 GiB"));
    assert_eq!(cell(not_run, "throughput_qps"), "");
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
fn the_page_says_what_was_found_why_not_and_on_what() {
    let folder = reported(sweep);
    let page = read(folder.path(), "report.html");
    for part in [
        "<h1>vgg: 24 points</h1>",
        "At most 72.9 (70.7 to 74.4) queries/s, with 3 × 1 CPU, batch 32. And for 50 queries/s take vgg, 3 replicas",
        r#"21 <span class="VALID">"#,
        r#"1 <span class="SUSPECT">"#,
        r#"2 <span class="INVALID">"#,
        "<code>batch_fill</code> batches were 4.9 of 32 full",
        "<code>replica_died</code> 1 replica died",
        "not run: 4 replicas with batches of 32",
        "The zero beside each point",
        "for 50 queries/s take vgg, 3 replicas x 1 CPU, batch 32",
        "A processor of 2 cores @ 2.80GHz",
        "commit 0123abc",
        "driver -m vgg -r 1 2 3 4",
        "How to read this",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn the_page_holds_one_copy_of_the_plotting_library_and_fetches_nothing() {
    let folder = reported(sweep);
    let page = read(folder.path(), "report.html");
    assert_eq!(page.matches("* plotly.js v").count(), 1);
    assert!(
        !page.contains("MathJax.loader"),
        "the library for formulas is not needed"
    );
    let (before, after) = page.split_once("/**\n* plotly.js v").unwrap();
    let after = &after[after.find("</script>").unwrap()..];
    for own in [before, after] {
        for loads in ["src=", "href=\"http", "@import", "url(", "fetch("] {
            assert!(!own.contains(loads), "{loads}");
        }
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn what_came_in_a_file_is_text_and_never_part_of_the_page() {
    let nasty = "<img src=x onerror=alert(1)></script>";
    let folder = reported(|folder| {
        let made = Made::new("vgg", 1, 4);
        let mut point = made.speed();
        point["node_configs"][0]["name"] = json!(nasty);
        point["resources"]["processes"][0]["name"] = json!(nasty);
        point["machine"]["cpu"] = json!(nasty);
        point["verdict"] = json!({"status": "SUSPECT", "reasons": [{"status": "SUSPECT", "check": nasty, "text": nasty}]});
        put(folder, &made.file(), &point);
        put(
            folder,
            "results-other.json",
            &Made::new("svm", 1, 4).speed(),
        );
    });
    let page = read(folder.path(), "report.html");
    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;&lt;/script&gt;"));
    // Six plots, of which the resources have one per point; the library, and the page's own script.
    assert_eq!(page.matches("</script>").count(), 5 + 2 + 2);
}

#[test]
fn a_sweep_of_accuracy_runs_has_a_table_and_no_plot() {
    let folder = reported(|folder| {
        for (batch, right) in [(1, 194), (32, 193)] {
            let made = Made::new("svm", 1, batch);
            put(folder, &made.file(), &made.accuracy(right));
        }
    });
    let page = read(folder.path(), "report.html");
    assert!(page.contains("<h1>svm: 2 accuracy runs</h1>"));
    assert!(
        page.contains("96.5 to 97.0 % of the answers were right"),
        "{page}"
    );
    assert!(
        !page.contains("<script") && !page.contains("queries/s"),
        "{page}"
    );
    let csv = read(folder.path(), "summary.csv");
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(
        csv.lines().nth(1).unwrap().ends_with(",194,200,194"),
        "{csv}"
    );
}

#[test]
fn the_schema_is_printed_and_results_are_valid_by_it() {
    let (status, printed, _) = driver(&["schema"]);
    assert_eq!(status, 0);
    let schema: Value = serde_json::from_str(&printed).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut made = Made::new("vgg", 2, 8);
    made.gpus = 2;
    for result in [made.speed(), made.accuracy(190), made.not_run("no memory")] {
        let read: driver::results::PointResult = serde_json::from_value(result).unwrap();
        let result = serde_json::to_value(read).unwrap();
        let errors: Vec<_> = validator
            .iter_errors(&result)
            .map(|e| e.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

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
    let (status, printed, said) = driver(&["compare", path(&a), path(&b)]);
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
        printed.contains("1 point only in B: vgg, 1 replica x 1 CPU, batch 8"),
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
        let files = [
            "compare",
            path(&a),
            path(&b),
            "--junit",
            junit.to_str().unwrap(),
        ];
        let (status, _, said) = driver(&[&files[..], limits].concat());
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
        xml.contains(r#"tests="4""#) && xml.contains(r#"failures="2""#),
        "{xml}"
    );
    assert!(xml.contains("it is INVALID in A"), "{xml}");
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
    let (status, _, said) = driver(&["compare", path(&a), path(&b), "--fail_above", "1.5"]);
    assert_eq!(status, 1);
    assert!(said.contains("the p99 is 2.00 ("), "{said}");
    let (status, _, said) = driver(&["compare", path(&a), path(&b), "--fail_above", "1.9"]);
    assert_eq!(status, 0, "{said}");
}

#[test]
fn sweeps_without_a_common_point_and_limits_that_are_none_are_refused() {
    let a = with_rates(&[100.0]);
    let b = tempfile::tempdir().unwrap();
    put(b.path(), "results-1.json", &Made::new("svm", 1, 1).speed());
    let (status, _, said) = driver(&["compare", path(&a), path(&b)]);
    assert_eq!(status, 1);
    assert!(said.contains("no point in common"), "{said}");
    let (status, _, said) = driver(&["compare", path(&a), path(&a), "--fail_below", "0"]);
    assert_eq!(status, 2);
    assert!(
        said.contains("--fail_below takes a number above zero"),
        "{said}"
    );
}

/// As the original wrote it, in small.
fn original(rates: &[f64]) -> String {
    let latencies: Vec<_> = (0..rates.len()).map(|window| 8.5 + window as f64).collect();
    json!({
        "node_configs": [{
            "name": "vgg", "input_type": "floats", "model_image": "model-comp/vgg-feats", "allocated_cpus": [14], "cpus_per_replica": 1,
            "slo": 500_000, "num_replicas": 1, "gpus": [0], "batch_size": 2
        }],
        "clipper_metrics": {"counters": [{"app:vgg:num_predictions": {"count": "1595"}}]},
        "client_metrics": {"thrus": rates, "p99_lats": latencies, "mean_lats": latencies}
    })
    .to_string()
}

#[test]
fn old_and_new_results_of_a_shape_stand_one_below_the_other() {
    let folder = tempfile::tempdir().unwrap();
    for batch in [1, 2, 4] {
        let made = Made::new("vgg", 1, batch);
        put(folder.path(), &made.file(), &made.speed());
    }
    let old = folder.path().join("original");
    fs::write(&old, original(&[10.0, 20.0, 20.0])).unwrap();
    let (status, printed, said) = driver(&["import", old.to_str().unwrap(), path(&folder)]);
    assert_eq!(status, 0, "{said}");
    let rows: Vec<Vec<_>> = printed
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let batches: Vec<_> = rows[2..].iter().map(|row| row[5]).collect();
    assert_eq!(batches, ["1", "2", "2", "4"]);
    let old = rows.iter().find(|row| row[1] == "original").unwrap();
    // Equal numbers of answers at 10, 20 and 20 a second.
    let cells = [
        "15.0",
        "16.7",
        "9,500",
        "-",
        "8,500 to 10,500",
        "-",
        "1,595",
    ];
    assert_eq!(old[7..=13], cells);
    assert!(
        printed.contains("* queries/s: answers divided by time."),
        "{printed}"
    );
}

#[test]
fn files_of_neither_driver_are_named_and_alone_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (old, odd) = (
        folder.path().join("results-old.json"),
        folder.path().join("results-odd.json"),
    );
    fs::write(&old, original(&[])).unwrap();
    fs::write(&odd, "[1,").unwrap();
    let (status, printed, said) = driver(&["import", path(&folder), "/nowhere.json"]);
    assert_eq!(status, 0, "{said}");
    assert!(printed.contains("original |"), "{printed}");
    assert!(said.contains("results-odd.json: it is no result"), "{said}");
    assert!(said.contains("/nowhere.json: it cannot be read"), "{said}");
    let (status, printed, said) = driver(&["import", odd.to_str().unwrap()]);
    assert_eq!((status, printed.as_str()), (1, ""));
    assert!(said.contains("none of these files is a result"), "{said}");
}
