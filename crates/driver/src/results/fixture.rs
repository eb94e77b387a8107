//! Results for tests: sound ones, for a test to spoil.

use serde_json::{Value, json};

use super::{AccuracyRun, FORMAT, Outcome, Phase, PointResult, Speed};

/// 1,000 queries to two replicas in five seconds, all answered, in batches of four; 24 in flight, 120 ms each.
pub(crate) fn whole() -> PointResult {
    let node = json!({
        "name": "noop", "input_type": "floats", "model_image": "noop", "allocated_cpus": [0, 1], "cpus_per_replica": 1,
        "slo": 3_600_000_000_u64, "num_replicas": 2, "gpus": [], "batch_size": 4
    });
    let result = json!({
        "format": FORMAT, "round": 1, "verdict": {"status": "VALID", "reasons": []},
        "node_configs": [node], "clipper_metrics": {}, "mode": "saturate",
        "client_metrics": {"thrus": [200.0], "p99_lats": [0.138], "mean_lats": [0.12]},
        "throughput_qps": 200.0, "phases": [throughput()], "totals": totals(),
        "replicas": [], "replicas_died": 0, "replicas_lost": 0,
        "pinning": "each replica has its own, frontend and driver have the others",
        "driver": {
            "cores": {"driver": "3", "frontend": "2"}, "num_clients": 1, "in_flight": 24, "seed": 1, "inputs": "",
            "duration_seconds": 10.0, "command_line": "driver"
        },
        "machine": {"cpu": "", "cores": 4, "allowed_cores": "0-3", "memory_mib": 1, "kernel": ""},
        "versions": {"driver": "0", "profile": "release"}
    });
    serde_json::from_value(result).unwrap()
}

fn totals() -> Value {
    json!({"sent": 1000, "ok": 1000, "default": 0, "timeout": 0, "error": 0, "cancelled": 0, "seconds": 5.0})
}

fn throughput() -> Value {
    let window = |second: u32| json!({"begins": second, "seconds": 1.0, "ok": 200, "mean_ms": 120.0, "p99_ms": 138.0});
    let windows = [0, 1, 2, 3, 4].map(window);
    let percentile = |quantile, ms: f64| json!({"quantile": quantile, "value": ms, "low": ms - 1.0, "high": ms + 1.0});
    json!({
        "kind": "throughput", "arrivals": {"closed": {"in_flight": 24}}, "opened_seconds": 1.0, "warm_up": totals(),
        "totals": totals(), "steady": true, "throughput": {"value": 200.0, "low": 195.0, "high": 205.0},
        "latency": {
            "samples": 1000, "mean": 120.0, "min": 100.0, "max": 140.0,
            "percentiles": [percentile(0.5, 120.0), percentile(0.9, 130.0), percentile(0.95, 134.0), percentile(0.99, 138.0)],
            "histogram": [[100_000, 100], [120_000, 800], [140_000, 100]]
        },
        "mean_in_flight": 24.0, "mean_batch": 4.0, "batches": 250.0,
        "time_breakdown": {"queued": 60e3, "away": 59e3, "waited": 29e3, "predicting": 29e3, "replying": 10.0},
        "windows": windows
    })
}

/// 100 queries, as an accuracy run of an artifact that offline named as many rightly.
pub(crate) fn accurate() -> PointResult {
    let offline = model::Accuracy { right: 97, of: 100 };
    let accuracy_run = AccuracyRun::new(offline, Some(offline));
    let mut result = PointResult {
        outcome: Outcome::Accuracy { accuracy_run },
        ..whole()
    };
    (result.totals.sent, result.totals.ok) = (100, 100);
    result
}

/// Its speed.
pub(crate) fn speed(result: &mut PointResult) -> &mut Speed {
    match &mut result.outcome {
        Outcome::Speed(speed) => speed,
        other => panic!("no speed but {other:?}"),
    }
}

/// Its first phase.
pub(crate) fn phase(result: &mut PointResult) -> &mut Phase {
    &mut speed(result).phases[0]
}
