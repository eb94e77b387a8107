//! The load in the output of a dry run, and traces that are refused.

use std::fs;

use crate::{driver, installed, sweep};

/// Returns the load in the output of a dry run.
fn planned_load(line: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = driver(&format!("{line} --dry_run"), folder.path());
    assert_eq!(output.status, 0, "{line}: {}", output.stderr);
    let mut lines = output.stdout.lines();
    let load = lines.find_map(|line| line.trim().strip_prefix("load "));
    load.unwrap().trim().to_owned()
}

#[test]
fn a_dry_run_prints_the_load_of_its_mode() {
    for (line, load) in [
        (
            "-m noop -b 2 8",
            "profile: 6 to 24 queries in flight, then random (Poisson) arrivals at 50 % and 80 % of the throughput; from 1 \
             client thread",
        ),
        (
            "-m noop -b 2 --slo_ms 20",
            "profile: 6 queries in flight, then random (Poisson) arrivals at the rates of a search for the highest one within \
             the objective; from 1 client thread",
        ),
        (
            "-m noop --mode saturate --in_flight 50 -n 2",
            "saturate: 50 queries in flight; from 2 client threads",
        ),
        (
            "-m noop --mode single-stream -n 2",
            "single-stream: 1 query in flight; from 1 client thread",
        ),
        (
            "-m noop --mode poisson --rate 40",
            "poisson: 40 queries/s on average, at random (Poisson) times; from 1 client thread",
        ),
        (
            "-m noop --mode constant --rate 0.5",
            "constant: 0.5 queries/s, evenly spaced; from 1 client thread",
        ),
        (
            "-m noop --mode flood",
            "flood: 200 queries/s, evenly spaced, without a warm-up; from 1 client thread",
        ),
    ] {
        assert_eq!(planned_load(line), load);
    }
}

#[test]
fn a_dry_run_counts_the_arrivals_of_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace");
    let epoch: String = (0..=40)
        .map(|n| format!("{}\r\n", 1_700_000_000 + n))
        .collect();
    fs::write(&file, epoch).unwrap();
    let trace = format!("-m noop --mode trace --trace {}", file.display());
    let name = file.display();
    assert_eq!(
        planned_load(&trace),
        format!("trace: 41 arrivals in 40.001 s, as in {name}; from 1 client thread")
    );
    assert_eq!(
        planned_load(&format!("{trace} -d 20")),
        format!(
            "trace: 41 arrivals in 40.001 s, cut at 20 s: the first 20, as in {name}; from 1 client thread"
        )
    );
    // The duration is that of the trace, not the default.
    let output = driver(&format!("{trace} --dry_run"), folder.path());
    assert!(
        output
            .stdout
            .contains("each 40.001 s under load, about 43s"),
        "{}",
        output.stdout
    );
}

#[test]
fn an_unusable_trace_starts_nothing() {
    let folder = installed("exit 3");
    let file = folder.path().join("trace");
    for (text, expected) in [
        (
            "0\n0.1\n0.2\n0.3\n",
            "has 4 arrivals in 0.301 s, and 3 of them",
        ),
        ("0\n2\n1\n", "line 3 of the trace"),
        ("", "holds no times"),
    ] {
        fs::write(&file, text).unwrap();
        let output = sweep(
            folder.path(),
            &format!("-m noop --mode trace --trace {}", file.display()),
        );
        assert_eq!(output.status, 2, "{}", output.stderr);
        assert!(output.stderr.contains(expected), "{}", output.stderr);
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
        assert!(!folder.path().join("results").exists());
    }
}
