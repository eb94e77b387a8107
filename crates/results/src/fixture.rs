//! Synthetic results for tests and examples. They are VALID; tests modify them.

mod synthetic;

pub use synthetic::{SyntheticTrial, put, sweep};

use host::{ProcessUse, Resources};
use loadgen::Arrivals;
use serde_json::{Value, json};

use crate::{
    accuracy::AccuracyRun,
    speed::{Baseline, Generator, Lag, Phase, PhaseKind, Speed},
    trial::{FORMAT, Trial, TrialOutcome},
};

/// Returns a trial of 1,000 queries to two replicas in 5 s, all answered, in batches of 4, with 24
/// in flight and 120 ms latency.
pub fn whole() -> Trial {
    let node = json!({
        "name": "noop", "input_type": "floats", "model_image": "noop", "allocated_cpus": [0, 1], "cpus_per_replica": 1,
        "slo": 3_600_000_000_u64, "num_replicas": 2, "gpus": [], "batch_size": 4
    });
    let result = json!({
        "format": FORMAT, "round": 1, "verdict": {"status": "VALID", "reasons": []},
        "node_configs": [node], "clipper_metrics": {}, "mode": "saturate",
        "client_metrics": {"thrus": [200.0], "p99_lats": [0.138], "mean_lats": [0.12]},
        "throughput_qps": 200.0, "phases": [throughput()], "totals": totals(),
        "replicas": [replica(0), replica(1)], "replicas_died": 0, "replicas_lost": 0,
        "pinning": "each replica has its own, frontend and driver have the others",
        "driver": {
            "cores": {"driver": "3", "frontend": "2"}, "num_clients": 1, "in_flight": 24, "seed": 1, "inputs": "",
            "duration_seconds": 10.0, "command_line": "driver"
        },
        "machine": {"cpu": "", "cores": 4, "allowed_cores": "0-3", "memory_mib": 1, "kernel": ""},
        "versions": {"driver": "0", "profile": "release"}
    });
    serde_json::from_value(result).expect("the fixture has all fields")
}

/// Returns [`whole`] with a second phase of 6 s at 160 queries/s and 50 ms latency, and with
/// baseline, load generator and resources.
pub fn profiled() -> Trial {
    let mut result = whole();
    let mut latency = phase(&mut result).clone();
    latency.kind = PhaseKind::Latency;
    latency.arrivals = Arrivals::Poisson {
        rate: 160.0,
        share: Some(0.8),
    };
    latency.opened_seconds = 7.0;
    latency.throughput.value = 160.0;
    latency.totals.seconds = 6.25;
    latency.mean_in_flight = 8.0;
    if let Some(of) = &mut latency.latency {
        of.mean = 50.0;
    }
    latency.lag = Some(Lag {
        p50: 0.1,
        p99: 1.0,
        max: 3.0,
    });
    let speed = speed(&mut result);
    speed.mode = "profile".to_owned();
    speed.phases.push(latency);
    speed.baseline = Some(Baseline {
        throughput_qps: 10_000.0,
        mean_batch: Some(4.0),
        single_p50_ms: Some(0.2),
        file: "baseline.json".to_owned(),
    });
    speed.generator = Some(Generator {
        ceiling_qps: 100_000.0,
        share_of_ceiling: 0.002,
        busiest_thread: 0.1,
    });
    result.resources = Some(resources());
    result
}

/// Returns one sample per second, of four processes with a core each.
fn resources() -> Resources {
    let process = |(core, name): (usize, &str)| ProcessUse {
        name: name.to_owned(),
        cpu: vec![0.5; 14],
        pinned: Some(core.to_string()),
        held: Some(core.to_string()),
        ..ProcessUse::default()
    };
    let processes = ["noop-0", "noop-1", "frontend", "driver"];
    Resources {
        seconds: (1..=14).map(f64::from).collect(),
        processes: processes.into_iter().enumerate().map(process).collect(),
        stolen: vec![0.0; 14],
        ..Resources::default()
    }
}

fn replica(core: u32) -> Value {
    json!({
        "model_name": "noop", "model_version": "1", "replica_id": core, "input_type": "floats", "batches": 200,
        "queries": 800, "pid": 100 + core, "cores": core.to_string()
    })
}

fn totals() -> Value {
    json!({"sent": 1000, "ok": 1000, "default": 0, "timeout": 0, "error": 0, "cancelled": 0, "seconds": 5.0})
}

fn throughput() -> Value {
    let window = |part: u32| json!({"begins": 0.5 * f64::from(part), "seconds": 0.5, "ok": 100, "mean_ms": 120.0, "p99_ms": 138.0});
    let windows = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(window);
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

/// Returns an accuracy run of 100 inputs whose accuracy equals the offline one.
pub fn accurate() -> Trial {
    let offline = model::Accuracy { right: 97, of: 100 };
    let accuracy_run = AccuracyRun::new(offline, Some(offline));
    let mut result = Trial {
        outcome: TrialOutcome::Accuracy { accuracy_run },
        ..whole()
    };
    (result.totals.sent, result.totals.ok) = (100, 100);
    result
}

/// Returns the speed of a trial.
pub fn speed(result: &mut Trial) -> &mut Speed {
    match &mut result.outcome {
        TrialOutcome::Speed(speed) => speed,
        other => panic!("no speed but {other:?}"),
    }
}

/// Returns the first phase of a trial.
pub fn phase(result: &mut Trial) -> &mut Phase {
    &mut speed(result).phases[0]
}
