//! Machine, versions, artifact and settings of the measurements.

use std::collections::BTreeSet;

use maud::{Markup, html};
use results::{ReplicaResult, Trial};

use crate::text::{number, plural};

/// Reads a property of a trial; an empty text is left out.
type ReadText = fn(&Trial) -> String;

/// Names of the properties, with their texts.
const PROPERTIES: [(&str, ReadText); 16] = [
    ("processor", |trial| trial.machine.cpu.clone()),
    ("cores", |trial| {
        format!(
            "{} online, {} allowed",
            trial.machine.cores, trial.machine.allowed_cores
        )
    }),
    ("memory", |trial| {
        format!("{} MiB", number(trial.machine.memory_mib as f64))
    }),
    ("kernel", |trial| trial.machine.kernel.clone()),
    ("GPUs", gpus),
    ("shared cores", |trial| trial.pinning.clone()),
    ("cores of driver and frontend", |trial| {
        let cores = trial
            .driver
            .cores
            .iter()
            .map(|(process, cores)| format!("{process} on {cores}"));
        cores.collect::<Vec<_>>().join(", ")
    }),
    ("driver", |trial| {
        let commit = trial.versions.commit.as_deref().unwrap_or("unknown");
        format!(
            "{}, {} build, commit {commit}",
            trial.versions.driver, trial.versions.profile
        )
    }),
    ("model server", |trial| {
        trial.node_configs[0].model_image.clone()
    }),
    ("artifact", artifact),
    ("inputs", |trial| {
        format!(
            "{} ({})",
            trial.driver.inputs, trial.node_configs[0].input_type
        )
    }),
    ("load", |trial| match trial.speed() {
        Some(speed) => format!(
            "mode {}, {} client {}",
            speed.mode,
            trial.driver.num_clients,
            plural(trial.driver.num_clients, "thread")
        ),
        None => String::new(),
    }),
    ("SLO", |trial| {
        trial
            .driver
            .objective_ms
            .map_or(String::new(), |ms| format!("{ms} ms"))
    }),
    ("seconds per point", |trial| {
        trial.driver.duration_seconds.to_string()
    }),
    ("seed", |trial| trial.driver.seed.to_string()),
    ("command line", |trial| trial.driver.command_line.clone()),
];

/// Returns the properties; one has several values if the trials differ.
pub(super) fn section(trials: &[&Trial]) -> Markup {
    html! {
        section id="environment" {
            h2 { "Machine and versions" }
            dl {
                @for (name, read) in PROPERTIES {
                    @let values = distinct(trials, read);
                    @if !values.is_empty() {
                        dt { (name) }
                        dd { @for value in values { div { (value) } } }
                    }
                }
            }
        }
    }
}

/// Returns the distinct texts of the trials, without empty ones.
fn distinct(trials: &[&Trial], read: ReadText) -> BTreeSet<String> {
    let values = trials.iter().map(|trial| read(trial));
    values.filter(|value| !value.is_empty()).collect()
}

fn gpus(trial: &Trial) -> String {
    let resources = trial.resources.iter();
    let gpus = resources.flat_map(|resources| &resources.gpus);
    let names: Vec<_> = gpus
        .map(|gpu| format!("{}: {}", gpu.index, gpu.name))
        .collect();
    names.join(", ")
}

fn artifact(trial: &Trial) -> String {
    let artifact = trial.replicas.iter().find_map(ReplicaResult::artifact);
    artifact.map_or(String::new(), |artifact| {
        let trained = match artifact.trained {
            true => "trained",
            false => "not trained, so only its speed means anything",
        };
        format!("{} ({trained}): {}", artifact.file, artifact.provenance)
    })
}
