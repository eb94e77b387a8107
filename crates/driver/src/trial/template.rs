//! The fields that all results of a sweep have in common.

use std::collections::BTreeMap;

use deploy::Manager;
use host::cores::Allocation;
use loadgen::stats::Totals;
use results::{DriverConfig, FORMAT, NodeConfig, Trial, TrialOutcome, Verdict};
use serde_json::Value;

use crate::{inputs::Inputs, record::MeasuredOn, settings::Settings};

/// Returns a result without a config and without queries.
pub fn template(
    settings: &Settings,
    cores: &Allocation,
    manager: &Manager,
    inputs: &Inputs,
    on: MeasuredOn,
) -> Trial {
    let slo = settings.frontend_objective().as_micros();
    Trial {
        format: FORMAT,
        round: 1,
        verdict: Verdict::of(Vec::new()),
        resources: None,
        node_configs: vec![NodeConfig {
            name: settings.model.name.to_owned(),
            input_type: settings.input_type.to_string(),
            model_image: manager.model_image(),
            allocated_cpus: Vec::new(),
            cpus_per_replica: 0,
            slo: u64::try_from(slo).unwrap_or(u64::MAX),
            num_replicas: 0,
            gpus: Vec::new(),
            batch_size: 0,
        }],
        clipper_metrics: Value::Null,
        outcome: TrialOutcome::NotRun {
            not_run: String::new(),
        },
        totals: Totals::default(),
        replicas_lost: 0,
        replicas: Vec::new(),
        replicas_died: 0,
        first_reason: None,
        pinning: cores.sharing(&[]).to_string(),
        driver: DriverConfig {
            manager: manager.describe(),
            cores: BTreeMap::new(),
            num_clients: settings.num_clients,
            in_flight: 0,
            objective_ms: settings.objective.map(|o| o.as_secs_f64() * 1e3),
            seed: settings.seed,
            inputs: inputs.description.clone(),
            duration_seconds: settings.duration.as_secs_f64(),
            command_line: settings.command_line.clone(),
        },
        machine: on.machine,
        versions: on.versions,
    }
}
