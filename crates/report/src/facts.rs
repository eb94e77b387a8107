//! Facts that hold for the whole sweep and are stated once: shared cores, weights, the machine.

use results::{Arrivals, Phase, ReplicaResult, Resources, Trial};

use crate::{config_row::ConfigRow, reasons::Reasons};

/// Returns the facts of a sweep, one line each.
pub(crate) fn facts(
    trials: &[&Trial],
    rows: &[ConfigRow<'_>],
    reasons: &Reasons<'_>,
) -> Vec<String> {
    let mut facts = Vec::new();
    let runs = trials.iter().filter_map(|trial| trial.accuracy());
    facts.extend(runs.map(|run| run.note.clone()).next());
    facts.extend(slo(trials));
    facts.extend(core_use(trials));
    facts.extend(reasons.of_sweep());
    facts.extend(untrained(trials));
    facts.extend(truncated_trace(trials));
    facts.extend(differences(trials));
    facts.extend(offline(trials));
    if rows.iter().any(|row| row.rounds.all().len() > 1) {
        facts.push(
            "rounds: each number is the median of a point's VALID and SUSPECT rounds; its verdict is the worst of all \
             rounds"
                .to_owned(),
        );
    }
    facts
}

/// States the SLO, and the name of its column in the table.
fn slo(trials: &[&Trial]) -> Option<String> {
    let speeds = || trials.iter().filter_map(|trial| trial.speed());
    let mut searches = speeds().filter_map(|speed| speed.search.as_ref());
    if let Some(search) = searches.next() {
        let ms = search.objective_ms;
        return Some(format!(
            "SLO: p99 within {ms} ms; SLO max: max queries/s within SLO"
        ));
    }
    let mut phases = speeds().filter_map(|speed| speed.latency());
    let has_goodput = phases.any(|phase| phase.goodput_qps.is_some());
    let ms = trials.iter().find_map(|trial| trial.driver.objective_ms)?;
    has_goodput.then(|| format!("SLO: {ms} ms; goodput: answers per second within it"))
}

/// States which processes share cores, and how much of their cores driver and frontend used. Trials
/// that did not run are left out.
fn core_use(trials: &[&Trial]) -> Option<String> {
    let mut sharing: Vec<&str> = Vec::new();
    for trial in trials.iter().filter(|trial| trial.not_run().is_none()) {
        if !sharing.contains(&trial.pinning.as_str()) {
            sharing.push(&trial.pinning);
        }
    }
    let used = load_path_use(trials).map_or(String::new(), |used| format!("; {used}"));
    (!sharing.is_empty()).then(|| format!("cores: {}{used}", sharing.join("; or ")))
}

/// For instance `driver and frontend took 0.31 of 2 cores`: the mean in the measured windows of a
/// trial, and the range over the trials.
fn load_path_use(trials: &[&Trial]) -> Option<String> {
    let used = trials.iter().filter_map(|trial| mean_use(trial));
    let used: Vec<f64> = used.collect();
    let lowest = used.iter().copied().reduce(f64::min)?;
    let highest = used.iter().copied().reduce(f64::max)?;
    let [low, high] = [lowest, highest].map(|cores| format!("{cores:.2}"));
    let range = match low == high {
        true => low,
        false => format!("{low} to {high}"),
    };
    let mut counts: Vec<usize> = trials
        .iter()
        .filter_map(|trial| core_count(trial))
        .collect();
    counts.dedup();
    Some(match counts[..] {
        [1] => format!("driver and frontend took {range} of 1 core"),
        [count] => format!("driver and frontend took {range} of {count} cores"),
        _ => format!("driver and frontend took {range} cores"),
    })
}

/// Returns the CPU time of driver and frontend in the measured windows, in cores.
fn mean_use(trial: &Trial) -> Option<f64> {
    let resources = trial.resources.as_ref()?;
    let phases = &trial.speed()?.phases;
    let of = |name| mean_within(resources, &resources.process(name)?.cpu, phases);
    Some(of("driver")? + of("frontend")?)
}

/// Returns the mean of the samples that end inside a window; `None` if there is no such sample.
fn mean_within(resources: &Resources, samples: &[f64], phases: &[Phase]) -> Option<f64> {
    let in_window = |second: f64| {
        phases.iter().any(|phase| {
            let opened = phase.opened_seconds;
            (opened..=opened + phase.totals.seconds).contains(&second)
        })
    };
    let samples = resources.seconds.iter().zip(samples);
    let samples = samples.filter(|(second, _)| in_window(**second));
    let samples: Vec<f64> = samples.map(|(_, sample)| *sample).collect();
    (!samples.is_empty()).then(|| results::mean(&samples))
}

/// Returns the number of cores that driver and frontend may use, each counted once.
fn core_count(trial: &Trial) -> Option<usize> {
    trial.speed()?;
    let mut cores = trial.driver.cores_of("driver")?;
    cores.extend(trial.driver.cores_of("frontend")?);
    cores.sort_unstable();
    cores.dedup();
    Some(cores.len())
}

/// States that a trace was sent only in part.
fn truncated_trace(trials: &[&Trial]) -> Option<String> {
    let speeds = trials.iter().filter_map(|trial| trial.speed());
    let mut phases = speeds.flat_map(|speed| &speed.phases);
    phases.find_map(|phase| match &phase.arrivals {
        Arrivals::Trace {
            file,
            arrivals,
            seconds,
            left_out: left_out @ 1..,
            ..
        } => Some(format!(
            "trace: {file} was cut: its last {left_out} of {arrivals} arrivals were not sent; it takes {seconds} s, so \
             --duration_seconds {:.0} sends them all",
            seconds.ceil()
        )),
        _ => None,
    })
}

fn untrained(trials: &[&Trial]) -> Option<String> {
    let replicas = trials.iter().flat_map(|trial| &trial.replicas);
    let mut artifacts = replicas.filter_map(ReplicaResult::artifact);
    let artifact = artifacts.find(|artifact| !artifact.trained)?;
    Some(format!(
        "weights: {} is not trained, so only its speed means anything: {}",
        artifact.file, artifact.provenance
    ))
}

/// Lists what should be the same at all points and is not: a sweep may be resumed later, or on
/// another machine.
fn differences(trials: &[&Trial]) -> Vec<String> {
    let artifacts = trials.iter().filter_map(|trial| {
        let mut replicas = trial.replicas.iter();
        replicas.find_map(ReplicaResult::artifact)
    });
    let differences = [
        ("machine", differ(trials.iter().map(|trial| &trial.machine))),
        (
            "versions",
            differ(trials.iter().map(|trial| &trial.versions)),
        ),
        ("artifact", differ(artifacts)),
    ];
    let differences = differences.into_iter().filter(|(_, differ)| *differ);
    differences
        .map(|(what, _)| {
            format!("NOT all points were measured with the same {what}: compare it in the result files first")
        })
        .collect()
}

fn differ<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
    let first = values.next();
    values.any(|value| Some(&value) != first.as_ref())
}

/// Compares the served answers with the artifact's offline evaluation.
fn offline(trials: &[&Trial]) -> Option<String> {
    let runs: Vec<_> = trials.iter().filter_map(|trial| trial.accuracy()).collect();
    let first = runs.first()?;
    let equal = runs.iter().all(|run| run.equals_offline == Some(true));
    Some(match (&first.offline, equal) {
        (None, _) => "offline: the artifact's metadata has no evaluation of as many inputs, so nothing is compared".to_owned(),
        (Some(_), true) => "offline: as many answers are right as in the artifact's offline evaluation".to_owned(),
        (Some(_), false) => "offline: the served answers DIFFER from the artifact's offline evaluation".to_owned(),
    })
}
