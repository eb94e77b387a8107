//! Results of sweeps that never were: the same each time, and shaped as real ones are.

use std::{fs, path::Path};

use results::PointResult;
use serde_json::{Value, json};

/// What a made point is to look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) model: &'static str,
    pub(crate) replicas: usize,
    pub(crate) cpus: usize,
    pub(crate) batch: usize,
    pub(crate) round: usize,
    /// The throughput in queries a second.
    pub(crate) qps: f64,
    pub(crate) status: &'static str,
    pub(crate) gpus: usize,
}

impl Made {
    /// A model that gains from batches and, less and less, from replicas.
    pub(crate) fn new(model: &'static str, replicas: usize, batch: usize) -> Made {
        let gain = (batch as f64).powf(0.35) * (replicas as f64).powf(0.8);
        Made {
            model,
            replicas,
            cpus: 1,
            batch,
            round: 1,
            qps: 9.0 * gain,
            status: "VALID",
            gpus: 0,
        }
    }

    /// The name of its file.
    pub(crate) fn file(&self) -> String {
        let Made {
            model,
            replicas,
            cpus,
            batch,
            round,
            ..
        } = self;
        format!("results-{model}-{replicas}-{cpus}-{batch}-{round}.json")
    }

    /// A measured point: throughput in a closed loop, then latency at two shares of it, with an objective of 400 ms.
    pub(crate) fn speed(&self) -> Value {
        let service = 1e3 * self.replicas as f64 / self.qps;
        let phases: Vec<_> = [None, Some(0.5), Some(0.8)]
            .into_iter()
            .enumerate()
            .map(|(index, share)| self.phase(index, share, service))
            .collect();
        let windows = phases[0]["windows"].as_array().unwrap().len();
        let zero = 9000.0 * (self.batch as f64).powf(0.5);
        let mut point = self.frame();
        merge(
            &mut point,
            json!({
                "mode": "profile",
                "client_metrics": {
                    "thrus": vec![self.qps; windows], "p99_lats": vec![service / 400.0; windows],
                    "mean_lats": vec![service / 500.0; windows]
                },
                "throughput_qps": self.qps,
                "phases": phases,
                "zero": {"throughput_qps": zero, "mean_batch": self.batch as f64 * 0.97, "single_p50_ms": 0.21, "file": "zero/results-zero.json"},
                "generator": {"ceiling_qps": 250_000.0, "share_of_ceiling": self.qps / 250_000.0, "busiest_thread": 0.2},
                "resources": self.resources()
            }),
        );
        point
    }

    /// A point that was sent more than it served: a quarter of the queries were answered.
    pub(crate) fn overloaded(&self) -> Value {
        let mut point = self.speed();
        let mut phase = self.phase(1, Some(0.8), 0.0);
        let cut = json!({"sent": 1600, "ok": 400, "default": 0, "timeout": 0, "error": 0, "cancelled": 1200, "seconds": 18.0});
        phase["arrivals"] = json!({"poisson": {"rate": 40.0, "share": null}});
        phase["overloaded"] = json!(true);
        phase["totals"] = cut.clone();
        phase.as_object_mut().unwrap().remove("latency");
        point["mode"] = json!("poisson");
        point["totals"] = cut;
        point["phases"] = json!([phase]);
        point
    }

    /// A combination that could not run.
    pub(crate) fn not_run(&self, why: &str) -> Value {
        let mut point = self.frame();
        merge(
            &mut point,
            json!({
                "not_run": why,
                "verdict": {"status": "INVALID", "reasons": [{"status": "INVALID", "check": "not_run", "text": why}]}
            }),
        );
        point
    }

    /// An accuracy run.
    pub(crate) fn accuracy(&self, right: u64) -> Value {
        let mut point = self.frame();
        merge(
            &mut point,
            json!({
                "accuracy_run": {
                    "note": "accuracy run: each labelled input was sent once; no measurement of speed",
                    "right": right, "of": 200, "share": right as f64 / 200.0, "offline": {"right": 194, "of": 200},
                    "equals_offline": right == 194
                }
            }),
        );
        point
    }

    /// What every result has.
    fn frame(&self) -> Value {
        let reasons = match self.status {
            "VALID" => json!([]),
            "SUSPECT" => json!([{
                "status": "SUSPECT", "check": "batch_fill",
                "text": "batches were 4.9 of 32 full in the mean: more queries in flight (--in_flight) would fill them"
            }]),
            _ => json!([{
                "status": "INVALID", "check": "replica_died",
                "text": "1 replica died under load: see its log"
            }]),
        };
        json!({
            "format": 2, "round": self.round, "verdict": {"status": self.status, "reasons": reasons},
            "node_configs": [{
                "name": self.model, "input_type": "floats", "model_image": self.model, "allocated_cpus": [0, 1],
                "cpus_per_replica": self.cpus, "slo": 3_600_000_000_u64, "num_replicas": self.replicas,
                "gpus": (0..self.gpus).collect::<Vec<_>>(), "batch_size": self.batch
            }],
            "clipper_metrics": {"counters": []},
            "totals": totals(2000, 60.0),
            "replicas": [{
                "model_name": self.model, "model_version": "1", "replica_id": 0, "input_type": "floats", "metadata": null,
                "batches": 10, "queries": 100, "pid": 77, "cores": "1"
            }],
            "replicas_died": u32::from(self.status == "INVALID"), "replicas_lost": 0,
            "pinning": "replicas on cores of their own", "driver": {
                "cores": {"driver": "0", "frontend": "0"}, "num_clients": 1, "in_flight": 3 * self.batch * self.replicas,
                "objective_ms": 400.0, "seed": 1, "inputs": "seeded random floats", "duration_seconds": 60.0,
                "command_line": "driver -m vgg -r 1 2 3 4 -b 1 2 4 8 16 32 -d 60 --slo_ms 400"
            },
            "machine": {
                "cpu": "A processor of 2 cores @ 2.80GHz", "cores": 2, "allowed_cores": "0-1", "memory_mib": 7938,
                "kernel": "6.1.0"
            },
            "versions": {"driver": "0.1.0", "profile": "release", "commit": "0123abc"}
        })
    }

    fn phase(&self, index: usize, share: Option<f64>, service: f64) -> Value {
        let in_flight = 3 * self.batch * self.replicas;
        let rate = self.qps * share.unwrap_or(1.0);
        // As of a queue whose length goes with the load.
        let wait = match share {
            None => 3.0 * service,
            Some(share) => service * (1.0 + share / (2.0 - 2.0 * share)),
        };
        let arrivals = match share {
            None => json!({"closed": {"in_flight": in_flight}}),
            Some(share) => json!({"poisson": {"rate": rate, "share": share}}),
        };
        let sent = (rate * 18.0) as u64;
        json!({
            "kind": if share.is_none() { "throughput" } else { "latency" },
            "arrivals": arrivals, "opened_seconds": 2.0 + 20.0 * index as f64,
            "warm_up": totals((rate * 2.0) as u64, 2.0), "totals": totals(sent, 18.0), "steady": true,
            "throughput": {"value": rate, "low": rate * 0.97, "high": rate * 1.02},
            "goodput_qps": rate * 0.96,
            "latency": latency(wait, sent), "mean_in_flight": rate * wait / 1e3,
            "lag": share.map(|_| json!({"p50": 0.01, "p99": 0.2, "max": 1.1})),
            "mean_batch": self.batch as f64 * share.unwrap_or(0.98), "batches": 18.0 * rate / self.batch as f64,
            "time_breakdown": {
                "queued": wait * 450.0, "away": service * 1e3, "waited": service * 40.0, "predicting": service * 900.0,
                "replying": service * 10.0
            },
            "windows": (0..18).map(|second| json!({
                "begins": second, "seconds": 1.0, "ok": rate as u64, "mean_ms": wait, "p99_ms": 2.5 * wait
            })).collect::<Vec<_>>()
        })
    }

    fn resources(&self) -> Value {
        let samples = 120;
        let wave = |level: f64, phase: f64| -> Vec<f64> {
            let at = |sample: usize| level * (1.0 + 0.08 * (sample as f64 * 0.7 + phase).sin());
            (0..samples).map(at).collect()
        };
        let process = |name: String, index: usize, cpu: f64, rss: f64| {
            json!({
                "name": name, "pid": 100 + index, "cpu": wave(cpu, index as f64), "rss_mib": wave(rss, 0.0),
                "voluntary_switches": wave(900.0, 0.0), "involuntary_switches": wave(20.0, 0.0), "pinned": null, "held": "0-1"
            })
        };
        let mut processes = vec![
            process("driver".to_owned(), 0, 0.12, 90.0),
            process("frontend".to_owned(), 1, 0.21, 60.0),
        ];
        for replica in 0..self.replicas {
            processes.push(process(
                format!("{}-{replica}", self.model),
                2 + replica,
                0.9,
                700.0,
            ));
        }
        let gpus = (0..self.gpus).map(|index| json!({
            "index": index, "name": "A GPU", "busy": wave(0.7, 0.3), "memory_mib": wave(9000.0, 0.0), "power_watts": wave(220.0, 0.0)
        }));
        json!({
            "seconds": (1..=samples).map(|sample| sample as f64 * 0.5).collect::<Vec<_>>(),
            "processes": processes,
            "cores": (0..2).map(|core| json!({"core": core, "busy": wave(0.8, core as f64)})).collect::<Vec<_>>(),
            "stolen": wave(0.03, 0.0), "throttled_seconds": null, "gpus": gpus.collect::<Vec<_>>()
        })
    }
}

/// Every query was answered.
fn totals(sent: u64, seconds: f64) -> Value {
    json!({"sent": sent, "ok": sent, "default": 0, "timeout": 0, "error": 0, "cancelled": 0, "seconds": seconds})
}

/// Exponential, with that mean in milliseconds.
fn latency(mean: f64, samples: u64) -> Value {
    let at = |share: f64| mean * (0.3 - 0.7 * (1.0 - share).ln());
    let percentiles: Vec<_> = [0.5, 0.9, 0.95, 0.99]
        .map(|q| json!({"quantile": q, "value": at(q), "low": at(q) * 0.93, "high": at(q) * 1.09}))
        .into();
    let histogram: Vec<_> = (1..200)
        .map(|step| ((at(step as f64 / 200.0) * 1e3) as u64, samples / 199 + 1))
        .collect();
    json!({
        "samples": samples, "mean": mean, "min": at(0.0), "max": at(0.999), "percentiles": percentiles, "histogram": histogram
    })
}

fn merge(point: &mut Value, more: Value) {
    let (Value::Object(point), Value::Object(more)) = (point, more) else {
        panic!("both are objects");
    };
    point.extend(more);
}

/// Writes a result, which has to be one, into the folder.
pub(crate) fn put(folder: &Path, file: &str, result: &Value) {
    serde_json::from_value::<PointResult>(result.clone()).unwrap();
    fs::write(folder.join(file), result.to_string()).unwrap();
}

/// A sweep of 24 points of which one is suspect, one invalid and one could not run, and the zero beside them.
pub(crate) fn sweep(folder: &Path) {
    for replicas in 1..=4 {
        for batch in [1, 2, 4, 8, 16, 32] {
            let mut made = Made::new("vgg", replicas, batch);
            made.status = match (replicas, batch) {
                (1, 32) => "SUSPECT",
                (3, 16) => "INVALID",
                _ => "VALID",
            };
            let result = match (replicas, batch) {
                (4, 32) => made.not_run(
                    "4 replicas with batches of 32 need 9 GiB, and the machine has 7.8 GiB",
                ),
                _ => made.speed(),
            };
            put(folder, &made.file(), &result);
        }
    }
    let mut zero = Made::new("noop", 1, 1);
    zero.qps = 9000.0;
    fs::create_dir(folder.join("zero")).unwrap();
    put(&folder.join("zero"), "results-zero.json", &zero.speed());
    fs::write(
        folder.join("sweep.json"),
        r#"{"settings": {"target_qps": 50.0}}"#,
    )
    .unwrap();
}
