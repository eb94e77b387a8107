//! Names of points, phases and loads in a report.

use std::collections::BTreeSet;

use results::{Arrivals, NodeConfig, Phase, Totals, Trial, percent};

use crate::text::{figures, number, plural};

/// Names of the points on the page: short, and different for each trial of a sweep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// True if the trials are of several models.
    models: bool,
    /// True if points have several rounds.
    rounds: bool,
}

impl Names {
    /// Reads which parts of a name differ between these trials.
    pub(crate) fn new<'a>(results: impl Iterator<Item = &'a Trial> + Clone) -> Names {
        let models: BTreeSet<_> = results
            .clone()
            .map(|trial| &trial.node_configs[0].name)
            .collect();
        Names {
            models: models.len() > 1,
            rounds: results.map(|trial| trial.round).max() > Some(1),
        }
    }

    /// Everything except batch size and round: `2 × 1 CPU`.
    pub(crate) fn deployment(&self, node: &NodeConfig) -> String {
        let model = match self.models {
            true => format!("{}, ", node.name),
            false => String::new(),
        };
        let gpus = match node.gpus.len() {
            0 => String::new(),
            gpus => format!(", {gpus} {}", plural(gpus, "GPU")),
        };
        let cpus = node.cpus_per_replica;
        let replicas = node.num_replicas;
        format!("{model}{replicas} × {cpus} {}{gpus}", plural(cpus, "CPU"))
    }

    /// Everything except the round: `2 × 1 CPU, batch 8`.
    fn config(&self, node: &NodeConfig) -> String {
        format!("{}, batch {}", self.deployment(node), node.batch_size)
    }

    /// The full name: `2 × 1 CPU, batch 8, round 3`.
    pub(crate) fn point(&self, trial: &Trial) -> String {
        let config = self.config(&trial.node_configs[0]);
        match self.rounds {
            true => format!("{config}, round {}", trial.round),
            false => config,
        }
    }
}

/// Describes a configuration in a sentence, in ASCII: `1 replica x 2 CPUs, 1 GPU at batch 8`.
pub(crate) fn config(node: &NodeConfig) -> String {
    let (replicas, cpus) = (node.num_replicas, node.cpus_per_replica);
    let gpus = match node.gpus.len() {
        0 => String::new(),
        gpus => format!(", {gpus} {}", plural(gpus, "GPU")),
    };
    format!(
        "{replicas} {} x {cpus} {}{gpus} at batch {}",
        plural(replicas, "replica"),
        plural(cpus, "CPU"),
        node.batch_size
    )
}

/// Describes the load of a phase after a latency: `at 80 % load`, `with 24 queries in flight`.
pub(crate) fn under_load(phase: &Phase) -> String {
    match &phase.arrivals {
        Arrivals::Closed { in_flight: 1 } => "with one query in flight".to_owned(),
        Arrivals::Closed { in_flight } => format!("with {in_flight} queries in flight"),
        Arrivals::Poisson {
            share: Some(share), ..
        } => format!("at {} load", percent(*share)),
        Arrivals::Poisson { rate, share: None } | Arrivals::Constant { rate } => {
            format!("at an offered load of {}/s", number(*rate))
        }
        Arrivals::Trace { file, .. } => format!("with arrivals as in {file}"),
    }
}

/// Returns the kind of a phase and its load.
pub(crate) fn phase(phase: &Phase) -> String {
    let load = match &phase.arrivals {
        Arrivals::Closed { in_flight } => format!("{in_flight} in flight"),
        Arrivals::Poisson { rate, share } => match share {
            Some(share) => format!("{}/s ({:.0} %)", number(*rate), share * 1e2),
            None => format!("{}/s", number(*rate)),
        },
        Arrivals::Constant { rate } => format!("{}/s, evenly spaced", number(*rate)),
        Arrivals::Trace {
            file,
            arrivals,
            left_out,
            ..
        } => match left_out {
            0 => format!("as in {file}"),
            _ => format!("as in {file} without its last {left_out} of {arrivals} arrivals"),
        },
    };
    format!("{}, {load}", phase.kind)
}

/// Returns the number of queries that the model answered, and of those that were cancelled:
/// `220 of 1,600, 1,380 cancelled`.
pub(crate) fn answered(totals: &Totals) -> String {
    let count = |count: u64| match count {
        1000.. => number(count as f64),
        _ => count.to_string(),
    };
    let [ok, sent, cancelled] = [totals.ok, totals.sent, totals.cancelled].map(count);
    match totals.cancelled {
        0 => format!("{ok} of {sent}"),
        _ => format!("{ok} of {sent}, {cancelled} cancelled"),
    }
}

/// Returns the load of a phase for a narrow column: share of the throughput, rate, or kind of load.
pub(crate) fn load(phase: &Phase) -> String {
    match &phase.arrivals {
        Arrivals::Poisson {
            share: Some(share), ..
        } => percent(*share),
        Arrivals::Poisson { rate, share: None } | Arrivals::Constant { rate } => {
            format!("{}/s", figures(*rate))
        }
        Arrivals::Closed { in_flight: 1 } => "single".to_owned(),
        Arrivals::Closed { .. } => "full".to_owned(),
        Arrivals::Trace { .. } => "trace".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::fixture::{profiled, whole};
    use std::slice;

    #[test]
    fn sentences_name_a_config_and_a_load_in_ascii() {
        let mut trial = whole();
        assert_eq!(
            config(&trial.node_configs[0]),
            "2 replicas x 1 CPU at batch 4"
        );
        let node = &mut trial.node_configs[0];
        (node.num_replicas, node.cpus_per_replica, node.gpus) = (1, 2, vec![0]);
        assert_eq!(config(node), "1 replica x 2 CPUs, 1 GPU at batch 4");
        let trial = profiled();
        let loads = trial.speed().unwrap().phases.iter().map(under_load);
        let loads: Vec<_> = loads.collect();
        assert_eq!(loads, ["with 24 queries in flight", "at 80 % load"]);
    }

    #[test]
    fn point_names_differ_between_trials() {
        let one = whole();
        let name = |results: &[Trial]| Names::new(results.iter()).point(&results[0]);
        assert_eq!(name(slice::from_ref(&one)), "2 × 1 CPU, batch 4");
        let mut other = one.clone();
        other.node_configs[0].name = "vgg".to_owned();
        other.node_configs[0].gpus = vec![0, 1];
        other.round = 2;
        assert_eq!(
            name(&[one.clone(), other.clone()]),
            "noop, 2 × 1 CPU, batch 4, round 1"
        );
        assert_eq!(name(&[other]), "2 × 1 CPU, 2 GPUs, batch 4, round 2");
    }
}
