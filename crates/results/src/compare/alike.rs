//! Properties that two sweeps must share to be comparable, and their differences.

use std::collections::BTreeSet;

use crate::{
    config_key::{ConfigKey, RoundsByConfig},
    rounds::Rounds,
    trial::{ReplicaResult, Trial},
};

/// Reads a property of a trial as text; `None` if the result does not have it.
type Property = fn(&Trial) -> Option<String>;

/// Properties that trials of one configuration must share.
const COMMON: [(&str, Property); 16] = [
    ("processor", |r| Some(r.machine.cpu.clone())),
    ("cores of the machine", |r| {
        Some(r.machine.cores.to_string())
    }),
    ("cores allowed", |r| Some(r.machine.allowed_cores.clone())),
    ("kernel", |r| Some(r.machine.kernel.clone())),
    ("build", |r| Some(r.versions.profile.clone())),
    ("manager", |r| Some(r.driver.manager.clone())),
    ("image", |r| {
        Some(r.node_configs.first()?.model_image.clone())
    }),
    ("GPU", gpus),
    ("device", |r| {
        let mut replicas = r.replicas.iter();
        let metadata = replicas.find_map(|r| r.replica.metadata.as_ref())?;
        let device = metadata.model.device.split(':').next();
        device.map(str::to_owned)
    }),
    ("cores shared", |r| Some(r.pinning.clone())),
    ("inputs", |r| Some(r.driver.inputs.clone())),
    ("client threads", |r| Some(r.driver.num_clients.to_string())),
    ("queries in flight", |r| {
        Some(r.driver.in_flight.to_string())
    }),
    ("seconds under load", |r| {
        Some(r.driver.duration_seconds.to_string())
    }),
    ("objective", objective),
    ("artifact", |r| {
        let artifact = r.replicas.iter().find_map(ReplicaResult::artifact)?;
        Some(format!("{} ({})", artifact.file, artifact.provenance))
    }),
];

/// Returns the names of the GPUs; `none` for a trial without a GPU.
fn gpus(result: &Trial) -> Option<String> {
    let gpus = &result.resources.as_ref()?.gpus;
    let names: BTreeSet<_> = gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    Some(match names.is_empty() {
        true => "none".to_owned(),
        false => Vec::from_iter(names).join(" + "),
    })
}

fn objective(result: &Trial) -> Option<String> {
    let enforced = if result.enforces_slo() {
        ", enforced"
    } else {
        ""
    };
    let objective = result.driver.objective_ms;
    Some(objective.map_or("none".to_owned(), |ms| format!("{ms} ms{enforced}")))
}

/// Lists the differences, one line each: at configurations of both sweeps, then between those of
/// one only.
pub(super) fn differences(sweeps: &[RoundsByConfig<'_>; 2]) -> Vec<String> {
    let [of_a, of_b] = sweeps;
    let common = of_a.iter().filter_map(|(key, a)| Some([a, of_b.get(key)?]));
    let common: Vec<_> = common.collect();
    let properties = COMMON.into_iter();
    let common = properties.filter_map(|(name, read)| differs(name, read, &common));
    common.chain(unmatched(of_a, of_b)).collect()
}

/// Describes the difference of a property: the values at the first configuration, and the number of
/// configurations.
fn differs(name: &str, read: Property, configs: &[[&Rounds<'_>; 2]]) -> Option<String> {
    let at_config = |rounds: &[&Rounds<'_>; 2]| {
        let values = rounds.map(|rounds| -> BTreeSet<String> {
            let ran = rounds.all().iter().filter(|r| r.not_run().is_none());
            ran.filter_map(|round| read(round)).collect()
        });
        difference(values)
    };
    let differing: Vec<String> = configs.iter().filter_map(at_config).collect();
    let first = differing.first()?;
    let (count, of) = (differing.len(), configs.len());
    Some(match differing.iter().all(|other| other == first) {
        true if count == of => format!("{name}: {first}"),
        true => format!("{name}: {first} (at {count} of {of} points)"),
        false => format!("{name}: {first} (at the first of {count} points)"),
    })
}

/// Formats `1 in A, 2 in B`; `None` if the values are equal, or one is unknown.
fn difference(values: [BTreeSet<String>; 2]) -> Option<String> {
    let known = values.iter().all(|values| !values.is_empty());
    let [a, b] = values;
    let show = |values: BTreeSet<String>| Vec::from_iter(values).join(" / ");
    (known && a != b).then(|| format!("{} in A, {} in B", show(a), show(b)))
}

/// Reads a part of the key other than replicas, cores and batch size.
type Part = fn(&ConfigKey) -> String;

const PARTS: [(&str, Part); 4] = [
    ("mode", |key| key.mode.clone()),
    ("engine", |key| key.engine.clone()),
    ("input type", |key| key.input_type.clone()),
    ("GPUs", |key| key.gpus.to_string()),
];

/// Lists differences between configurations of only A and those of the same size of only B.
fn unmatched(a: &RoundsByConfig<'_>, b: &RoundsByConfig<'_>) -> Vec<String> {
    let only = |these: &RoundsByConfig<'_>, those: &RoundsByConfig<'_>| -> Vec<ConfigKey> {
        let keys = these.keys().filter(|key| !those.contains_key(key));
        keys.cloned().collect()
    };
    let (of_a, of_b) = (only(a, b), only(b, a));
    let differs = |(name, read): (&str, Part)| {
        let values = |these: &[ConfigKey], those: &[ConfigKey]| -> BTreeSet<String> {
            let is_there = |key: &&ConfigKey| those.iter().any(|other| same_size(key, other));
            let known = these.iter().filter(is_there).map(read);
            known.filter(|value| !value.is_empty()).collect()
        };
        let values = [values(&of_a, &of_b), values(&of_b, &of_a)];
        Some(format!("{name}: {}", difference(values)?))
    };
    PARTS.into_iter().filter_map(differs).collect()
}

fn same_size(one: &ConfigKey, other: &ConfigKey) -> bool {
    let sizes = |key: &ConfigKey| [key.replicas, key.cpus_per_replica, key.batch_size];
    one.model == other.model && sizes(one) == sizes(other)
}
