//! How a report calls points, phases and loads.

use std::collections::BTreeSet;

use results::{Arrivals, NodeConfig, Phase, Totals, Trial, percent};

use crate::text::{figures, number, plural};

/// What has to be in the name of a point so that it is the only one of that name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// There are several models.
    models: bool,
    /// There are several rounds.
    pub(crate) rounds: bool,
}

impl Names {
    pub(crate) fn new<'a>(results: impl Iterator<Item = &'a Trial> + Clone) -> Names {
        let models: BTreeSet<_> = results.clone().map(|r| &r.node_configs[0].name).collect();
        Names {
            models: models.len() > 1,
            rounds: results.map(|r| r.round).max() > Some(1),
        }
    }

    /// All but batch size and round: `2 × 1 CPU`.
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

    /// All but the round: `2 × 1 CPU, batch 8`.
    pub(crate) fn combination(&self, node: &NodeConfig) -> String {
        format!("{}, batch {}", self.deployment(node), node.batch_size)
    }

    /// All of it: `2 × 1 CPU, batch 8, round 3`.
    pub(crate) fn point(&self, result: &Trial) -> String {
        let combination = self.combination(&result.node_configs[0]);
        match self.rounds {
            true => format!("{combination}, round {}", result.round),
            false => combination,
        }
    }
}

/// What a phase is for, and its load.
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

/// How many of the queries were answered by the model, and how many were not waited for, as in
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

/// The load of a phase in a narrow column: a share of the throughput, a rate, or how it is sent.
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
    use results::fixture::whole;
    use std::slice;

    #[test]
    fn a_point_is_called_by_what_tells_it_from_the_others() {
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
