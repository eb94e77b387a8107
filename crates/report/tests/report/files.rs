//! Files that a report leaves in the folder of a sweep.

use std::{fs, path::Path};

use serde_json::json;

use results::fixture::{SyntheticTrial, put, sweep};

use crate::reported;

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

/// Makes three rounds at batch sizes 1, 2 and 4. One is much faster, some are INVALID, one did not
/// run, and batch size 4 has no valid round.
fn repeated(folder: &Path) {
    let rounds = [
        (1, [90.0, 500.0, 80.0], ["VALID"; 3]),
        (2, [100.0, 1e4, 102.0], ["VALID", "INVALID", "SUSPECT"]),
        (4, [1e5, 2e5, 3e5], ["INVALID", "INVALID", "NOT RUN"]),
    ];
    for (batch, rates, statuses) in rounds {
        for (index, (qps, status)) in rates.into_iter().zip(statuses).enumerate() {
            let mut made = SyntheticTrial::new("vgg", 1, batch);
            (made.qps, made.round, made.status) = (qps, index + 1, status);
            let mut point = match status {
                "NOT RUN" => made.not_run("no cores"),
                _ => made.speed(),
            };
            if status != "NOT RUN" {
                point["search"] = json!({
                    "objective_ms": 400.0, "highest_qps": 0.9 * qps, "p99_ms": 390.0, "missed_qps": qps
                });
            }
            put(folder, &made.file(), &point);
        }
    }
    fs::write(
        folder.join("sweep.json"),
        r#"{"settings": {"target_qps": 85.0}}"#,
    )
    .unwrap();
}

#[test]
fn answer_is_the_best_median_of_rounds_that_count() {
    let folder = tempfile::tempdir().unwrap();
    repeated(folder.path());
    report::write_all(folder.path()).unwrap();
    let printed = read(folder.path(), "summary.md");
    let sentence = "vgg serves 90.9 queries/s (median of 2 of 3 rounds, left out: 1 INVALID; 90.0 to 91.8) with \
                    1 replica x 1 CPU at batch 2; p99 390.0 ms, within the SLO of 400 ms (SUSPECT). \
                    4 of 9 measurements are INVALID or did not run, 1 is SUSPECT.";
    let recommendation = "for 85 queries/s take vgg, 1 replica x 1 CPU, batch 2, profile: 90.9 queries/s, p99 390.0 ms, \
                          2 cores in all (median of 2 of 3 rounds, left out: 1 INVALID) (SUSPECT)";
    let page = read(folder.path(), "report.html");
    for text in [&read(folder.path(), "summary.md"), &page] {
        assert!(text.contains(sentence), "{sentence}: {text}");
        assert!(text.contains(recommendation), "{recommendation}: {text}");
    }
    for line in printed.lines().filter(|line| line.starts_with('*')) {
        for lucky in ["500", "450", "10,000", "10000", "9000", "9,000"] {
            assert!(!line.contains(lucky), "{line}");
        }
    }
    let rows: Vec<_> = printed
        .lines()
        .filter(|line| line.starts_with("| "))
        .collect();
    for (row, rate) in rows[1..].iter().zip([" 90.00 ", " 101.0 ", " 150000 "]) {
        assert!(row.contains(rate), "{rate}: {row}");
    }
    assert!(
        printed.contains("* point 2: median of 2 of 3 rounds, left out: 1 INVALID\n"),
        "{printed}"
    );
    // The heat map has no lucky round either.
    for rate in ["\"90.0\"", "\"101.0 ✕\""] {
        assert!(page.contains(rate), "{rate}");
    }
}

#[test]
fn csv_has_one_row_per_phase_and_point() {
    let folder = reported(sweep);
    let mut reader = csv::Reader::from_path(folder.path().join("summary.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let rows: Vec<_> = reader.records().map(|row| row.unwrap()).collect();
    // 23 points and the baseline with three phases each, and one point that could not run.
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
fn overloaded_point_shows_cancelled_queries_and_no_latency() {
    let folder = tempfile::tempdir().unwrap();
    let made = SyntheticTrial::new("vgg", 1, 4);
    put(folder.path(), &made.file(), &made.overloaded());
    report::write_all(folder.path()).unwrap();
    let printed = read(folder.path(), "summary.md");
    let cells = |line: usize| -> Vec<String> {
        let line = printed
            .lines()
            .filter(|line| line.starts_with('|'))
            .nth(line)
            .unwrap();
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let of = |heading: &str| {
        let column = cells(0).iter().position(|cell| cell == heading).unwrap();
        cells(2)[column].clone()
    };
    assert_eq!(
        [of("cancelled"), of("p50 ms"), of("p99 ms")],
        ["1200", "-", "-"]
    );
    let page = read(folder.path(), "report.html");
    assert!(page.contains("400 of 1,600, 1,200 cancelled"), "{page}");
    let mut reader = csv::Reader::from_path(folder.path().join("summary.csv")).unwrap();
    let header = reader.headers().unwrap().clone();
    let row = reader.records().next().unwrap().unwrap();
    let cell = |name: &str| &row[header.iter().position(|column| column == name).unwrap()];
    assert_eq!(
        [cell("cancelled"), cell("overloaded"), cell("offered_qps")],
        ["1200", "true", "40.0"]
    );
    assert_eq!([cell("p99_ms"), cell("max_ms")], ["", ""]);
}

#[test]
fn truncated_trace_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let made = SyntheticTrial::new("vgg", 1, 4);
    let mut point = made.speed();
    point["phases"][2]["arrivals"] =
        json!({"trace": {"file": "t.txt", "arrivals": 500, "seconds": 299.2, "left_out": 300}});
    put(folder.path(), &made.file(), &point);
    report::write_all(folder.path()).unwrap();
    let printed = read(folder.path(), "summary.md");
    let note = "trace: t.txt was cut: its last 300 of 500 arrivals were not sent; it takes 299.2 s, so --duration_seconds 300";
    assert!(printed.contains(note), "{printed}");
    let page = read(folder.path(), "report.html");
    assert!(
        page.contains("without its last 300 of 500 arrivals"),
        "{page}"
    );
}

#[test]
fn page_states_results_reasons_and_machine() {
    let folder = reported(sweep);
    let page = read(folder.path(), "report.html");
    for part in [
        "<h1>vgg: 24 points</h1>",
        "vgg serves 72.9 queries/s (95 % interval 70.7 to 74.4) with 3 replicas x 1 CPU at batch 32; p99",
        "at 80 % load. 2 of 24 points are INVALID or did not run, 1 is SUSPECT.",
        "<strong>Recommendation: </strong>for 50 queries/s take vgg, 3 replicas x 1 CPU",
        "driver and frontend took 0.33 of 1 core",
        r#"21 <span class="VALID">"#,
        r#"1 <span class="SUSPECT">"#,
        r#"1 <span class="INVALID">INVALID"#,
        r#"1 <span class="INVALID">NOT RUN"#,
        "<details><summary>1 reason: batch_fill</summary>",
        "<code>batch_fill</code> the mean batch has 4.90 of 32 queries",
        "<code>replica_died</code> 1 replica died",
        "not run: 4 replicas with batches of 32",
        "Baseline: the no-op model at the same points",
        "max queries/s within SLO",
        "Pareto-optimal configurations",
        "A processor of 2 cores @ 2.80GHz",
        "commit 0123abc",
        "driver -m vgg -r 1 2 3 4",
        "How to read this",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn page_opens_with_answer_recommendation_and_one_plot() {
    let page = read(reported(sweep).path(), "report.html");
    let body = page.split_once("<body>").unwrap().1;
    let parts = [
        "<h1>",
        "vgg serves 72.9 queries/s",
        "Recommendation: ",
        "id=\"throughput-plot\"",
        "<nav>",
        "The whole sweep",
        "<section id=\"points\">",
        "<section id=\"pareto\">",
        "<section id=\"latency\">",
    ];
    let at = parts.map(|part| body.find(part).unwrap_or_else(|| panic!("{part}")));
    assert!(at.is_sorted(), "{at:?}");
}

#[test]
fn plots_without_data_state_why() {
    let folder = reported(|folder| {
        let made = SyntheticTrial::new("vgg", 1, 4);
        let mut point = made.speed();
        for phase in point["phases"].as_array_mut().unwrap() {
            phase["latency"]["percentiles"] = json!([]);
            phase["latency"]["histogram"] = json!([]);
            phase.as_object_mut().unwrap().remove("time_breakdown");
        }
        point.as_object_mut().unwrap().remove("resources");
        put(folder, &made.file(), &point);
    });
    let page = read(folder.path(), "report.html");
    for why in [
        "No data: no phase has a percentile of the latency",
        "No data: no latency was measured.",
        "No data: no point has an answer with a breakdown of its time.",
        "No data: no point has samples of its resources.",
    ] {
        assert!(page.contains(why), "{why}");
    }
    assert_eq!(page.matches("<div class=\"plot\"").count(), 2);
}

#[test]
fn reasons_of_all_points_are_stated_once() {
    let folder = reported(|folder| {
        for batch in [1, 2] {
            let mut made = SyntheticTrial::new("vgg", 1, batch);
            made.status = "SUSPECT";
            put(folder, &made.file(), &made.speed());
        }
    });
    for file in ["report.html", "summary.md"] {
        let text = read(folder.path(), file);
        let reason = "SUSPECT, both points: the mean batch has 4.90 of 32 queries";
        assert_eq!(text.matches(reason).count(), 1, "{file}");
        assert!(!text.contains("1 reason"), "{file}");
    }
}

#[test]
fn page_has_the_plotting_library_once_and_fetches_nothing() {
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
fn text_from_a_file_is_escaped() {
    let nasty = "<img src=x onerror=alert(1)></script>";
    let folder = reported(|folder| {
        let made = SyntheticTrial::new("vgg", 1, 4);
        let mut point = made.speed();
        point["node_configs"][0]["name"] = json!(nasty);
        point["resources"]["processes"][0]["name"] = json!(nasty);
        point["machine"]["cpu"] = json!(nasty);
        point["verdict"] = json!({"status": "SUSPECT", "reasons": [{"status": "SUSPECT", "check": nasty, "text": nasty}]});
        put(folder, &made.file(), &point);
        put(
            folder,
            "results-other.json",
            &SyntheticTrial::new("svm", 1, 4).speed(),
        );
    });
    let page = read(folder.path(), "report.html");
    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;&lt;/script&gt;"));
    // Six plots, of which the resources have one per point; the library, and the page's own script.
    assert_eq!(page.matches("</script>").count(), 5 + 2 + 2);
}

#[test]
fn accuracy_runs_have_a_table_and_no_plot() {
    let folder = reported(|folder| {
        for (batch, right) in [(1, 194), (32, 193)] {
            let made = SyntheticTrial::new("svm", 1, batch);
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
