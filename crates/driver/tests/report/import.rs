//! `driver import`: result files of the original driver beside those of this one.

use std::fs;

use serde_json::json;

use results::fixture::{SyntheticTrial, put};

use crate::{driver, path};

/// Returns a small result file of the original driver.
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
fn old_and_new_results_are_sorted_by_config() {
    let folder = tempfile::tempdir().unwrap();
    for batch in [1, 2, 4] {
        let made = SyntheticTrial::new("vgg", 1, batch);
        put(folder.path(), &made.file(), &made.speed());
    }
    let old = folder.path().join("original");
    fs::write(&old, original(&[10.0, 20.0, 20.0])).unwrap();
    let (status, stdout, stderr) = driver(&["import", old.to_str().unwrap(), path(&folder)]);
    assert_eq!(status, 0, "{stderr}");
    let rows: Vec<Vec<_>> = stdout
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let batches: Vec<_> = rows[2..].iter().map(|row| row[5]).collect();
    assert_eq!(batches, ["1", "2", "2", "4"]);
    let old = rows.iter().find(|row| row[1] == "original").unwrap();
    // Equal numbers of answers at 10, 20 and 20 per second.
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
        stdout.contains("* queries/s: answers divided by time."),
        "{stdout}"
    );
}

#[test]
fn files_of_neither_driver_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (old, odd) = (
        folder.path().join("results-old.json"),
        folder.path().join("results-odd.json"),
    );
    fs::write(&old, original(&[])).unwrap();
    fs::write(&odd, "[1,").unwrap();
    let (status, stdout, stderr) = driver(&["import", path(&folder), "/nowhere.json"]);
    assert_eq!(status, 0, "{stderr}");
    assert!(stdout.contains("original |"), "{stdout}");
    assert!(
        stderr.contains("results-odd.json: not a result file"),
        "{stderr}"
    );
    assert!(
        stderr.contains("/nowhere.json: cannot read the file"),
        "{stderr}"
    );
    let (status, stdout, stderr) = driver(&["import", odd.to_str().unwrap()]);
    assert_eq!((status, stdout.as_str()), (1, ""));
    assert!(
        stderr.contains("none of these files is a result"),
        "{stderr}"
    );
}
