//! Results of format 2, in which the baseline is called `zero`: the folder `format2` is of a driver
//! that wrote them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use results::{FORMAT, Folder, checks, compare::compare};

fn former() -> Folder {
    Folder::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format2")).unwrap()
}

#[test]
fn reads_results_of_format_2_with_their_baseline() {
    let folder = former();
    assert!(folder.left_out.is_empty(), "{:?}", folder.left_out);
    assert_eq!((folder.trials.len(), folder.baselines.len()), (1, 1));
    assert_eq!(folder.target_qps, Some(500.0));

    let trial = &folder.trials[0].trial;
    let baseline = trial.speed().unwrap().baseline.as_ref().unwrap();
    assert_eq!(trial.format, FORMAT);
    assert_eq!(baseline.throughput_qps.round(), 13521.0);
    assert!(baseline.file.ends_with(&folder.baselines[0].file));
    let of_baseline = &folder.baselines[0].trial;
    assert_eq!(of_baseline.speed().unwrap().mode, "baseline");
}

#[test]
fn names_the_checks_of_format_2_as_today() {
    let folder = former();
    let trial = &folder.trials[0].trial;
    let names = |reasons: &[results::VerdictReason]| -> Vec<String> {
        reasons.iter().map(|reason| reason.check.clone()).collect()
    };
    let read = names(&trial.verdict.reasons);
    assert_eq!(read, ["near_baseline", "shared_cores"]);
    assert_eq!(read, names(&checks::judge(trial).reasons));
}

#[test]
fn compares_results_of_format_2() {
    let trials: Vec<_> = former().results().cloned().collect();
    let comparison = compare(&trials, &trials);
    assert!(comparison.has_common_points() && comparison.differences.is_empty());
}
