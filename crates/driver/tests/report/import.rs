//! The original's result files beside ours.

use std::fs;

use serde_json::json;

use results::fixture::{Made, put};

use crate::{driver, path};

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
