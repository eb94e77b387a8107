//! Gate of `driver compare`: what it judges, and that it fails on what it cannot judge.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use results::fixture::{SyntheticTrial, put};

use crate::{CompareOutput, compare};

/// Changes a result of batch size 2; `None` takes it away.
type Spoil = fn(Value) -> Option<Value>;

fn kept(point: Value) -> Option<Value> {
    Some(point)
}

/// Makes a sweep of batch sizes 1 and 2 at 100 queries/s, and changes the second point.
fn spoilt(spoil: Spoil) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for batch in [1, 2] {
        let mut made = SyntheticTrial::new("vgg", 1, batch);
        made.qps = 100.0;
        let point = made.speed();
        let point = if batch == 1 {
            Some(point)
        } else {
            spoil(point)
        };
        if let Some(point) = point {
            put(folder.path(), &made.file(), &point);
        }
    }
    folder
}

/// The file of a point that did not run has no speed, replicas, engine or GPU.
fn not_run(_: Value) -> Option<Value> {
    let mut point = SyntheticTrial::new("vgg", 1, 2).not_run("there are no cores for it");
    point["replicas"] = json!([]);
    Some(point)
}

fn invalid(mut point: Value) -> Option<Value> {
    let reason =
        json!({"status": "INVALID", "check": "queries_lost", "text": "3 queries were lost"});
    point["verdict"] = json!({"status": "INVALID", "reasons": [reason]});
    Some(point)
}

fn without_interval(mut point: Value) -> Option<Value> {
    point["phases"][0]["throughput"] = json!({"value": 100.0});
    Some(point)
}

fn with_nothing_answered(mut point: Value) -> Option<Value> {
    point["phases"][0]["throughput"] = json!({"value": 0.0, "low": 0.0, "high": 0.0});
    Some(point)
}

fn in_a_closed_loop_alone(mut point: Value) -> Option<Value> {
    point["phases"].as_array_mut().unwrap().truncate(1);
    Some(point)
}

fn at_another_share(mut point: Value) -> Option<Value> {
    point["phases"][2]["arrivals"]["poisson"]["share"] = json!(0.9);
    Some(point)
}

fn with_few_answers(mut point: Value) -> Option<Value> {
    let latency = &mut point["phases"][2]["latency"]["percentiles"];
    latency.as_array_mut().unwrap().pop();
    Some(point)
}

/// Adds a search that found the rate `highest` and missed the SLO at `missed`.
fn searched(mut point: Value, highest: Option<f64>, missed: Option<f64>) -> Option<Value> {
    point["search"] = json!({
        "objective_ms": 400.0, "highest_qps": highest, "p99_ms": 390.0, "missed_qps": missed
    });
    Some(point)
}

/// Result of a comparison with its JUnit file.
struct GateOutput {
    status: i32,
    printed: String,
    remarks: String,
    xml: String,
}

fn compared(a: &TempDir, b: &TempDir, flags: &[&str]) -> GateOutput {
    let junit = b.path().join("junit.xml");
    let file = ["--junit", junit.to_str().unwrap()];
    let CompareOutput {
        status,
        printed,
        remarks,
    } = compare(a, b, &[&file, flags].concat());
    GateOutput {
        status,
        printed,
        remarks,
        xml: fs::read_to_string(&junit).unwrap(),
    }
}

const BELOW: &str = "--fail_below";
const ABOVE: &str = "--fail_above";

/// Changes in A and in B, the limit that then cannot be judged, and the reason.
const NOT_JUDGED: [(Spoil, Spoil, &str, &str); 13] = [
    (kept, |_| None, BELOW, "it is missing in B"),
    (|_| None, kept, BELOW, "it is missing in A"),
    (
        kept,
        not_run,
        BELOW,
        "it did not run in B: there are no cores for it",
    ),
    (
        not_run,
        kept,
        BELOW,
        "it did not run in A: there are no cores for it",
    ),
    (not_run, not_run, BELOW, "it did not run in A"),
    (
        kept,
        invalid,
        BELOW,
        "it is INVALID in B: 3 queries were lost",
    ),
    (
        invalid,
        kept,
        BELOW,
        "it is INVALID in A: 3 queries were lost",
    ),
    (
        kept,
        without_interval,
        BELOW,
        "the throughput has no interval in B",
    ),
    (
        without_interval,
        kept,
        BELOW,
        "the throughput has no interval in A",
    ),
    (
        with_nothing_answered,
        kept,
        BELOW,
        "the throughput is 0 in A",
    ),
    (
        kept,
        in_a_closed_loop_alone,
        ABOVE,
        "the p99 is of different loads: latency phase, 80 % of the throughput in A",
    ),
    (
        kept,
        at_another_share,
        ABOVE,
        "the p99 is of different loads",
    ),
    (
        kept,
        with_few_answers,
        ABOVE,
        "there are too few answers for the p99 in B",
    ),
];

#[test]
fn points_that_cannot_be_judged_fail() {
    for (of_a, of_b, flag, why) in NOT_JUDGED {
        let (a, b) = (spoilt(of_a), spoilt(of_b));
        let limit = if flag == BELOW { "0.9" } else { "1.1" };
        let gate = compared(&a, &b, &[flag, limit]);
        assert_eq!(gate.status, 1, "{why}: {}{}", gate.printed, gate.remarks);
        for text in [&gate.printed, &gate.remarks, &gate.xml] {
            assert!(text.contains(why), "{why}: {text}");
        }
        assert!(gate.xml.contains(r#"tests="2""#), "{}", gate.xml);
        assert!(gate.xml.contains(r#"failures="1""#), "{}", gate.xml);
        let named = "vgg, 1 replica x 1 CPU, batch 2";
        assert!(gate.remarks.contains(named), "{}", gate.remarks);
        assert!(!gate.remarks.contains("batch 1"), "{}", gate.remarks);
        assert!(!gate.printed.contains("accuracy"), "{}", gate.printed);

        let allowed = compared(&a, &b, &[flag, limit, "--allow_missing"]);
        assert_eq!(allowed.status, 0, "{why}: {}", allowed.remarks);
        assert!(allowed.printed.contains(why), "{}", allowed.printed);
        assert!(allowed.xml.contains("<skipped"), "{}", allowed.xml);

        let without = compared(&a, &b, &[]);
        assert_eq!(without.status, 0, "{why}: {}", without.remarks);
        assert!(without.printed.contains(why), "{}", without.printed);
        assert!(without.xml.contains(r#"failures="0""#), "{}", without.xml);
    }
}

#[test]
fn throughput_of_zero_fails_even_with_allow_missing() {
    let b = spoilt(with_nothing_answered);
    for (of_a, change) in [
        (kept as Spoil, "lower"),
        (without_interval, "lower"),
        (with_nothing_answered, "not compared"),
        (not_run, "not compared"),
    ] {
        let a = spoilt(of_a);
        for allowed in [&[][..], &["--allow_missing"]] {
            let gate = compared(&a, &b, &[&["--fail_below", "0.9"], allowed].concat());
            assert_eq!(gate.status, 1, "{}{}", gate.printed, gate.remarks);
            for text in [&gate.remarks, &gate.xml] {
                assert!(text.contains("the throughput is 0 in B"), "{text}");
            }
            assert!(gate.xml.contains(r#"failures="1""#), "{}", gate.xml);
            assert!(gate.printed.contains(change), "{}", gate.printed);
        }
    }
    let unlimited = compared(&spoilt(kept), &b, &["--fail_above", "1.1"]);
    assert_eq!(unlimited.status, 0, "{}", unlimited.remarks);
}

#[test]
fn gate_judges_only_limited_figures() {
    let (a, b) = (spoilt(kept), spoilt(in_a_closed_loop_alone));
    assert_eq!(compared(&a, &b, &["--fail_below", "0.9"]).status, 0);
    let b = spoilt(without_interval);
    assert_eq!(compared(&a, &b, &["--fail_above", "1.1"]).status, 0);
}

#[test]
fn gate_that_can_judge_nothing_fails() {
    let all = |spoil: Spoil| {
        let folder = spoilt(spoil);
        fs::remove_file(folder.path().join(SyntheticTrial::new("vgg", 1, 1).file())).unwrap();
        folder
    };
    let (a, b) = (all(kept), all(not_run));
    let gate = compared(&a, &b, &["--fail_below", "0.9", "--allow_missing"]);
    assert_eq!(gate.status, 1, "{}", gate.remarks);
    assert!(
        gate.remarks.contains("no point could be judged"),
        "{}",
        gate.remarks
    );
}

#[test]
fn one_bad_round_of_several_fails() {
    let rounds = |spoil: Spoil| {
        let folder = tempfile::tempdir().unwrap();
        for round in [1, 2, 3] {
            let mut made = SyntheticTrial::new("vgg", 1, 2);
            (made.qps, made.round) = (100.0 + round as f64, round);
            let point = made.speed();
            let mut point = if round == 2 {
                spoil(point).unwrap()
            } else {
                point
            };
            point["round"] = json!(round);
            put(folder.path(), &made.file(), &point);
        }
        folder
    };
    let a = rounds(kept);
    assert_eq!(compared(&a, &a, &["--fail_below", "0.9"]).status, 0);
    for (spoil, why) in [
        (
            invalid as Spoil,
            "1 of 3 rounds is INVALID in B: 3 queries were lost",
        ),
        (
            not_run,
            "1 of 3 rounds did not run in B: there are no cores for it",
        ),
    ] {
        let b = rounds(spoil);
        let gate = compared(&a, &b, &["--fail_below", "0.9"]);
        assert_eq!(gate.status, 1, "{why}: {}", gate.remarks);
        for text in [&gate.printed, &gate.remarks, &gate.xml] {
            assert!(text.contains(why), "{why}: {text}");
        }
        assert!(gate.xml.contains(r#"tests="1""#), "{}", gate.xml);
        // The other two rounds are judged.
        let allowed = compared(&a, &b, &["--fail_below", "0.9", "--allow_missing"]);
        assert_eq!(allowed.status, 0, "{}", allowed.remarks);
        let allowed = compared(&a, &b, &["--fail_below", "1.1", "--allow_missing"]);
        assert_eq!(allowed.status, 1, "{}", allowed.remarks);
    }
}

#[test]
fn max_rate_within_slo_is_compared() {
    let found_500 = |point| searched(point, Some(500.0), Some(520.0));
    let a = spoilt(found_500);
    let gate = |spoil: Spoil, more: &[&str]| {
        compared(
            &a,
            &spoilt(spoil),
            &[&["--fail_below", "0.9"], more].concat(),
        )
    };
    let same = gate(found_500, &[]);
    assert_eq!(same.status, 0, "{}", same.remarks);
    let less = gate(|point| searched(point, Some(300.0), Some(315.0)), &[]);
    assert_eq!(less.status, 1, "{}", less.printed);
    let why = "max queries/s within SLO is 0.600 (0.577 to 0.630) times A's, below 0.9";
    assert!(less.remarks.contains(why), "{}", less.remarks);
    let why = why.replace('\'', "&apos;");
    assert!(less.xml.contains(&why), "{}", less.xml);
    assert!(less.printed.contains("500.0"), "{}", less.printed);
    // Without an upper bound the rates themselves are compared.
    let open = gate(|point| searched(point, Some(300.0), None), &[]);
    assert_eq!(open.status, 1, "{}", open.printed);
    // The intervals overlap.
    let near = gate(|point| searched(point, Some(440.0), Some(460.0)), &[]);
    assert_eq!(near.status, 0, "{}", near.remarks);
    let none = gate(
        |point| searched(point, None, Some(20.0)),
        &["--allow_missing"],
    );
    assert_eq!(none.status, 1, "{}", none.printed);
    assert!(
        none.remarks.contains("no rate met the SLO in B"),
        "{}",
        none.remarks
    );
    let unsearched = gate(kept, &[]);
    assert_eq!(unsearched.status, 1, "{}", unsearched.printed);
    assert!(
        unsearched
            .remarks
            .contains("only A searched for max queries/s within SLO"),
        "{}",
        unsearched.remarks
    );
}

#[test]
fn differences_between_the_sweeps_are_listed() {
    let other = |mut point: Value| {
        point["driver"]["manager"] = json!("docker 27.1");
        point["driver"]["in_flight"] = json!(64);
        point["node_configs"][0]["model_image"] = json!("model-comp/vgg");
        point["resources"]["gpus"] = json!([{
            "index": 0, "name": "B GPU", "busy": [], "memory_mib": [], "power_watts": []
        }]);
        Some(point)
    };
    let compared = compared(&spoilt(kept), &spoilt(other), &[]);
    for what in [
        "not the same in A and B: manager: process in A, docker 27.1 in B",
        "not the same in A and B: image: vgg in A, model-comp/vgg in B",
        "not the same in A and B: queries in flight: 6 in A, 64 in B",
        "not the same in A and B: GPU: none in A, B GPU in B",
    ] {
        assert!(
            compared.printed.contains(what),
            "{what}: {}",
            compared.printed
        );
    }
}

#[test]
fn missing_points_list_the_differences() {
    let as_strings = |mut point: Value| {
        point["node_configs"][0]["input_type"] = json!("strings");
        point["mode"] = json!("saturate");
        Some(point)
    };
    let compared = compared(&spoilt(kept), &spoilt(as_strings), &[]);
    for what in [
        "not the same in A and B: mode: profile in A, saturate in B",
        "not the same in A and B: input type: floats in A, strings in B",
    ] {
        assert!(
            compared.printed.contains(what),
            "{what}: {}",
            compared.printed
        );
    }
}
