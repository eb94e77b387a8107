//! Text of a sweep: order, table, facts and reasons.

use super::*;
use results::{
    AccuracyRun, Baseline, SearchResult, Speed, TrialOutcome, Verdict, VerdictReason,
    VerdictStatus,
    fixture::{accurate, phase, profiled, whole},
};

/// Returns a trial with this configuration, round and throughput.
fn point(replicas: usize, batch_size: usize, round: usize, qps: f64) -> Trial {
    let mut result = whole();
    result.round = round;
    result.node_configs[0].num_replicas = replicas;
    result.node_configs[0].batch_size = batch_size;
    speed(&mut result).throughput_qps = qps;
    result
}

fn speed(result: &mut Trial) -> &mut Speed {
    match &mut result.outcome {
        TrialOutcome::Speed(speed) => speed,
        other => panic!("no speed but {other:?}"),
    }
}

fn with_reason(mut result: Trial, status: VerdictStatus, check: &str, text: &str) -> Trial {
    result.verdict.reasons.push(VerdictReason {
        status,
        check: check.to_owned(),
        text: text.to_owned(),
    });
    result.verdict = Verdict::of(result.verdict.reasons);
    result
}

fn not_run(replicas: usize, text: &str) -> Trial {
    let result = point(replicas, 4, 1, 0.0);
    let outcome = TrialOutcome::NotRun {
        not_run: text.to_owned(),
    };
    Trial { outcome, ..result }
}

fn shown(trials: &[Trial]) -> String {
    text(trials, None, false)
}

/// Returns the cells of the row with this number.
fn row(text: &str, number: usize) -> Vec<String> {
    let mut lines = text.lines().filter(|line| line.starts_with('|'));
    let line = lines.nth(number + 1).unwrap();
    let cells = line.trim_matches('|').split('|');
    cells.map(|cell| cell.trim().to_owned()).collect()
}

#[test]
fn rows_are_in_the_order_of_the_grid() {
    let results = [
        point(10, 1, 1, 3.0),
        point(2, 8, 1, 2.0),
        point(2, 4, 1, 1.0),
    ];
    let text = shown(&results);
    assert_eq!(row(&text, 1)[..5], ["1", "2", "1", "4", "1.00"]);
    assert_eq!(row(&text, 2)[..5], ["2", "2", "1", "8", "2.00"]);
    assert_eq!(row(&text, 3)[..5], ["3", "10", "1", "1", "3.00"]);
    assert_eq!(row(&text, 1).last().unwrap(), "VALID");
    assert!(!text.contains("Reasons:"), "{text}");
}

#[test]
fn rounds_are_a_row_with_median_and_range() {
    let rounds = [98.0, 100.0, 104.0].map(|qps| point(2, 4, 1, qps));
    let mut results: Vec<_> = rounds
        .into_iter()
        .zip(1..)
        .map(|(r, round)| Trial { round, ..r })
        .collect();
    results[2] = with_reason(
        results[2].clone(),
        VerdictStatus::Suspect,
        "x",
        "one round is odd",
    );
    let text = shown(&results);
    assert_eq!(row(&text, 1)[4..6], ["100.0", "-2.0 +4.0 %"]);
    assert_eq!(row(&text, 1).last().unwrap(), "SUSPECT");
    assert_eq!(text.lines().filter(|line| line.starts_with('|')).count(), 3);
    assert!(
        text.contains("* SUSPECT, point 1: one round is odd"),
        "{text}"
    );
    assert!(!text.contains("left out"), "{text}");
}

#[test]
fn median_leaves_out_rounds_that_do_not_count() {
    let invalid = with_reason(
        point(2, 4, 3, 1e6),
        VerdictStatus::Invalid,
        "lost",
        "one was lost",
    );
    let results = [
        point(2, 4, 1, 100.0),
        point(2, 4, 2, 104.0),
        invalid.clone(),
        Trial {
            round: 4,
            ..not_run(2, "no cores")
        },
        point(3, 4, 1, 50.0),
    ];
    let text = shown(&results);
    assert_eq!(row(&text, 1)[4..6], ["102.0", "-2.0 +2.0 %"]);
    assert_eq!(row(&text, 1).last().unwrap(), "INVALID");
    let note = "* point 1: median of 2 of 4 rounds, left out: 1 INVALID, 1 NOT RUN";
    assert!(text.contains(note), "{text}");
    // Without a round that counts, the row shows what it is INVALID with.
    let text = shown(&[invalid, point(3, 4, 1, 50.0)]);
    assert_eq!(row(&text, 1)[4], "1000000");
    assert!(!text.contains("point 1: median"), "{text}");
}

#[test]
fn widest_table_fits_a_terminal() {
    let wide = |round, search: bool| {
        let mut result = point(1000, 1024, round, 1_234_567.0);
        let phase = phase(&mut result);
        phase.goodput_qps = Some(1_234_567.0);
        let baseline = Baseline {
            throughput_qps: 2_234_567.0,
            mean_batch: None,
            single_p50_ms: None,
            file: String::new(),
        };
        speed(&mut result).baseline = Some(baseline);
        speed(&mut result).search = search.then_some(SearchResult {
            objective_ms: 400.0,
            highest_qps: Some(1_234_567.0),
            p99_ms: None,
            missed_qps: None,
        });
        with_reason(result, VerdictStatus::Suspect, "x", "wide")
    };
    for (search, heading) in [(false, "goodput"), (true, "SLO max")] {
        let text = shown(&[wide(1, search), wide(2, search)]);
        for part in [heading, "baseline", "55 %"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let rows = text.lines().filter(|line| line.starts_with('|'));
        let longest = rows.map(str::len).max();
        assert!(longest.unwrap() <= 120, "{longest:?}: {text}");
    }
}

#[test]
fn reasons_are_one_line_each_and_the_worst_is_first() {
    let mut results: Vec<_> = (1..=24).map(|n| point(n, 4, 1, 1.0)).collect();
    for result in &mut results {
        *result = with_reason(
            result.clone(),
            VerdictStatus::Suspect,
            "shared_cores",
            "cores are shared",
        );
    }
    results[1] = with_reason(
        results[1].clone(),
        VerdictStatus::Suspect,
        "fill",
        "fill 40 %",
    );
    results[2] = with_reason(
        results[2].clone(),
        VerdictStatus::Suspect,
        "fill",
        "fill 30 %",
    );
    results[7] = with_reason(
        results[7].clone(),
        VerdictStatus::Invalid,
        "lost",
        "a query was lost",
    );
    let text = shown(&results);
    let list = |heading: &str| {
        let lines = text.lines().skip_while(|line| *line != heading).skip(1);
        let lines = lines.take_while(|line| line.starts_with("* "));
        lines.collect::<Vec<_>>()
    };
    assert_eq!(
        list("The whole sweep:")[1..],
        ["* SUSPECT, all 24 points: cores are shared"],
        "{text}"
    );
    assert_eq!(
        list("Reasons:"),
        [
            "* INVALID, point 8: a query was lost",
            "* SUSPECT, points 2-3: fill 40 % (the figures are of point 2)",
        ],
        "{text}"
    );
}

#[test]
fn trials_that_did_not_run_are_rows_with_one_reason() {
    let results = [
        point(1, 4, 1, 1.0),
        not_run(2, "noop-0 exited\n    first log"),
        not_run(3, "noop-0 exited\n    second log"),
        not_run(4, "no cores"),
    ];
    let text = shown(&results);
    assert_eq!(row(&text, 2)[4], "-");
    assert_eq!(row(&text, 2).last().unwrap(), "NOT RUN");
    assert!(
        text.contains("* NOT RUN, points 2-3: noop-0 exited\n    first log"),
        "{text}"
    );
    assert!(!text.contains("second log"), "{text}");
    assert!(text.contains("* NOT RUN, point 4: no cores"), "{text}");
    // Only trials that ran share cores.
    let failed = Trial {
        pinning: "nothing ran".to_owned(),
        ..not_run(1, "no cores")
    };
    let other = Trial {
        pinning: "all but one".to_owned(),
        ..point(3, 4, 1, 1.0)
    };
    let text = shown(&[failed, point(2, 4, 1, 1.0), other]);
    assert!(text.contains("* cores: each replica has its own, frontend and driver have the others; or all but one\n"), "{text}");
}

#[test]
fn unexpected_differences_between_points_are_listed() {
    let mut other = point(3, 4, 1, 1.0);
    other.versions.driver = "1".to_owned();
    let text = shown(&[point(2, 4, 1, 1.0), other]);
    assert!(
        text.contains("* NOT all points were measured with the same versions"),
        "{text}"
    );
    assert!(!text.contains("same machine"), "{text}");
}

#[test]
fn only_verdicts_are_coloured() {
    let results = [point(2, 4, 1, 1.0)];
    assert!(!shown(&results).contains('\u{1b}'));
    let coloured = text(&results, None, true);
    assert_eq!(coloured.matches("\u{1b}[").count(), 2, "{coloured:?}");
}

#[test]
fn accuracy_runs_have_no_speed_and_compare_with_offline() {
    let text = shown(&[accurate(), accurate()]);
    assert!(
        !text.contains("queries/s") && !text.contains(" ms "),
        "{text}"
    );
    assert!(
        text.contains("* accuracy run: each labelled input was sent once; no measurement of speed"),
        "{text}"
    );
    assert!(text.contains("97 | 100 | 97.0 % |      97 |"), "{text}");
    assert!(
        text.contains("* offline: as many answers are right as"),
        "{text}"
    );
    let mut rows = text.lines().filter(|line| line.starts_with('|'));
    assert!(rows.all(|line| line.len() <= 120), "{text}");

    let served = model::Accuracy { right: 96, of: 100 };
    let against = |offline| {
        let mut result = accurate();
        let accuracy_run = AccuracyRun::new(served, offline);
        result.outcome = TrialOutcome::Accuracy { accuracy_run };
        shown(&[result])
    };
    let text = against(Some(model::Accuracy { right: 97, of: 100 }));
    assert!(text.contains("96 | 100 | 96.0 % |      97 |"), "{text}");
    assert!(
        text.contains("DIFFER from the artifact's offline"),
        "{text}"
    );
    assert!(against(None).contains("so nothing is compared"));
}

#[test]
fn whole_sweep_states_core_use_once() {
    let text = shown(&[profiled(), point(3, 4, 1, 1.0)]);
    let fact = "* cores: each replica has its own, frontend and driver have the others; driver and frontend took 1.00 \
                of 2 cores\n";
    assert_eq!(text.matches(fact).count(), 1, "{text}");
}

#[test]
fn answer_is_first_and_pareto_optimal_configs_are_last() {
    let trials = [
        with_reason(point(2, 4, 1, 200.0), VerdictStatus::Suspect, "x", "odd"),
        not_run(3, "no cores"),
    ];
    let text = text(&trials, Some(50.0), false);
    let parts = [
        "noop serves 200.0 queries/s",
        "1 of 2 points did not run, 1 is SUSPECT.",
        "\nRecommendation: for 50 queries/s ",
        "\nThe whole sweep:\n* cores: ",
        "\n| # |",
        "\nReasons:\n* NOT RUN, point 2: no cores\n* SUSPECT, point 1: odd\n",
        "\nPareto-optimal in cores, GPUs, rate and p99:\n* noop, 2 replicas x 1 CPU",
    ];
    let mut from = 0;
    for part in parts {
        let at = text[from..].find(part);
        from += at.unwrap_or_else(|| panic!("{part}: {text}"));
    }
    assert!(text.starts_with(parts[0]) && text.is_ascii(), "{text}");
}
