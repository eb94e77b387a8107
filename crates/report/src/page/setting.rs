//! What the numbers were measured on, and how to read them.

use std::collections::BTreeSet;

use maud::{Markup, html};
use results::{Folder, ReplicaResult, Trial};

use crate::text::number;

/// Reads one of them; an empty text is left out.
type Fact = fn(&Trial) -> String;

/// What the reader of a number asks for, and where it stands.
const FACTS: [(&str, Fact); 16] = [
    ("processor", |r| r.machine.cpu.clone()),
    ("cores", |r| {
        format!(
            "{} online, {} allowed",
            r.machine.cores, r.machine.allowed_cores
        )
    }),
    ("memory", |r| {
        format!("{} MiB", number(r.machine.memory_mib as f64))
    }),
    ("kernel", |r| r.machine.kernel.clone()),
    ("GPUs", gpus),
    ("pins", |r| r.pinning.clone()),
    ("cores of driver and frontend", |r| {
        let cores = r
            .driver
            .cores
            .iter()
            .map(|(who, cores)| format!("{who} on {cores}"));
        cores.collect::<Vec<_>>().join(", ")
    }),
    ("driver", |r| {
        let commit = r.versions.commit.as_deref().unwrap_or("unknown");
        format!(
            "{}, {} build, commit {commit}",
            r.versions.driver, r.versions.profile
        )
    }),
    ("model server", |r| r.node_configs[0].model_image.clone()),
    ("artifact", artifact),
    ("inputs", |r| {
        format!("{} ({})", r.driver.inputs, r.node_configs[0].input_type)
    }),
    ("load", |r| match r.speed() {
        Some(speed) => format!("{}, {} client threads", speed.mode, r.driver.num_clients),
        None => String::new(),
    }),
    ("objective", |r| {
        r.driver
            .objective_ms
            .map_or(String::new(), |ms| format!("{ms} ms"))
    }),
    ("seconds per point", |r| {
        r.driver.duration_seconds.to_string()
    }),
    ("seed", |r| r.driver.seed.to_string()),
    ("command line", |r| r.driver.command_line.clone()),
];

/// The machine, the versions, the artifact and what was asked for; several values where the points differ.
pub(super) fn setting(folder: &Folder) -> Markup {
    html! {
        section id="setting" {
            h2 { "Machine and versions" }
            dl {
                @for (name, read) in FACTS {
                    @let values = distinct(folder, read);
                    @if !values.is_empty() {
                        dt { (name) }
                        dd { @for value in values { div { (value) } } }
                    }
                }
            }
        }
    }
}

/// What the points say, each once, without empty texts.
fn distinct(folder: &Folder, read: Fact) -> BTreeSet<String> {
    let values = folder.results().map(read);
    values.filter(|value| !value.is_empty()).collect()
}

fn gpus(result: &Trial) -> String {
    let resources = result.resources.iter();
    let gpus = resources.flat_map(|resources| &resources.gpus);
    let names: Vec<_> = gpus
        .map(|gpu| format!("{}: {}", gpu.index, gpu.name))
        .collect();
    names.join(", ")
}

fn artifact(result: &Trial) -> String {
    let artifact = result.replicas.iter().find_map(ReplicaResult::artifact);
    artifact.map_or(String::new(), |artifact| {
        let trained = match artifact.trained {
            true => "trained",
            false => "not trained, so only its speed means anything",
        };
        format!("{} ({trained}): {}", artifact.file, artifact.provenance)
    })
}

/// The words of the page.
const TERMS: [(&str, &str); 10] = [
    (
        "point",
        "One combination of replicas, CPUs per replica and maximum batch size; everything was started anew for it.",
    ),
    (
        "VALID, SUSPECT, INVALID",
        "VALID: nothing speaks against the number. SUSPECT: it is of what was asked for, but read the \
      reasons before you act on it. INVALID: it is not of what was asked for, so it is no result.",
    ),
    (
        "throughput",
        "Answers by the model that arrived within the measured window, divided by its length, in a closed loop with \
      enough in flight to fill every batch. It is no mean of rates.",
    ),
    (
        "latency",
        "From the moment at which a query was to be sent, so that a driver that falls behind hides nothing, until its \
      answer was there. At rates below the throughput: under full load it only tells how many are in flight.",
    ),
    (
        "overloaded",
        "More queries were sent than the model serves. Their latency would say how long the test ran, so none is stated; \
      queries without an answer soon after the window are cancelled.",
    ),
    (
        "intervals",
        "95 %. A percentile without enough samples for one is not printed.",
    ),
    (
        "within objective/s",
        "With --slo_ms: the highest rate whose p99 stayed within the objective, or, where that was not looked \
      for, the answers a second that did.",
    ),
    (
        "mean batch",
        "If it is far below the maximum, larger maximum batches cannot help: too few queries were there.",
    ),
    (
        "of the zero",
        "The throughput as a share of what the no-op model reached in the same shape. Near 100 % the model is not \
      what limits.",
    ),
    (
        "answered",
        "Queries that the model answered, of those that were sent within the measured windows. Default outputs, errors \
      and queries without an answer are counted, and are no answers.",
    ),
];

/// For somebody who sees such a page for the first time.
pub(super) fn reading() -> Markup {
    html! {
        section id="reading" {
            h2 { "How to read this" }
            dl { @for (term, meaning) in TERMS { dt { (term) } dd { (meaning) } } }
        }
    }
}
