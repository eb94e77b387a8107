//! What distinguishes one point of a sweep from another.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use loadgen::Arrivals;

use crate::{
    rounds::Rounds,
    trial::{NodeConfig, Outcome, Trial},
};

/// What was asked for at a point. Rounds of one point have the same, and so have the points that two sweeps may be
/// compared at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigKey {
    /// The model.
    pub model: String,
    /// What computed it, without its version; empty if no replica told.
    pub engine: String,
    /// The type of its inputs.
    pub input_type: String,
    /// Replicas.
    pub replicas: usize,
    /// Cores that each may use.
    pub cpus_per_replica: usize,
    /// How many of them have a GPU.
    pub gpus: usize,
    /// The maximum batch size.
    pub batch_size: usize,
    /// How queries were sent, with the rate if one was asked for: `profile`, `poisson 80/s`; `accuracy` for an accuracy
    /// run. Empty where nothing ran: the result of that does not hold it.
    pub mode: String,
}

/// The rounds of each point.
pub type RoundsByConfig<'a> = BTreeMap<ConfigKey, Rounds<'a>>;

/// Puts the rounds of a point together, in the order of the results.
pub fn by_config(results: &[Trial]) -> RoundsByConfig<'_> {
    let [points, _] = by_configs([results, &[]]);
    points
}

/// The same for two sweeps. A result that does not hold all of its configuration, because nothing ran or no replica was
/// left to tell its engine, is a round of the point that has the rest: in its own sweep or else in the other one.
pub fn by_configs<'a>(sweeps: [&'a [Trial]; 2]) -> [RoundsByConfig<'a>; 2] {
    let keys = sweeps.map(|results| -> BTreeSet<ConfigKey> {
        let ran = results.iter().filter(|result| result.not_run().is_none());
        ran.map(Trial::key).collect()
    });
    let points = |own: usize| {
        let mut points = RoundsByConfig::new();
        for result in sweeps[own] {
            let key = result.key();
            // From behind, where an engine is known.
            let known = keys[own].iter().rev().chain(keys[1 - own].iter().rev());
            let whole = known.into_iter().find(|known| known.completes(&key));
            let key = whole.cloned().unwrap_or(key);
            points.entry(key).or_default().push(result);
        }
        points
    };
    [points(0), points(1)]
}

impl ConfigKey {
    /// True if `part` lacks something that this one has, and agrees in the rest. Where nothing ran, GPUs are unknown
    /// too.
    fn completes(&self, part: &ConfigKey) -> bool {
        let ran = !part.mode.is_empty();
        let completed = ConfigKey {
            engine: match part.engine.is_empty() {
                true => self.engine.clone(),
                false => part.engine.clone(),
            },
            mode: if ran { &part.mode } else { &self.mode }.clone(),
            gpus: if ran { part.gpus } else { self.gpus },
            ..part.clone()
        };
        *self != *part && *self == completed
    }
}

impl Trial {
    /// What was asked for.
    pub fn key(&self) -> ConfigKey {
        let node = self.node_configs.first();
        let text = |read: fn(&NodeConfig) -> &String| node.map(read).cloned().unwrap_or_default();
        let count = |read: fn(&NodeConfig) -> usize| node.map_or(0, read);
        let mut told = self
            .replicas
            .iter()
            .filter_map(|r| r.replica.metadata.as_ref());
        let engine = told
            .next()
            .and_then(|told| told.model.engine.split(' ').next());
        ConfigKey {
            model: text(|node| &node.name),
            engine: engine.unwrap_or_default().to_owned(),
            input_type: text(|node| &node.input_type),
            replicas: count(|node| node.num_replicas),
            cpus_per_replica: count(|node| node.cpus_per_replica),
            gpus: count(|node| node.gpus.len()),
            batch_size: count(|node| node.batch_size),
            mode: self.mode(),
        }
    }

    fn mode(&self) -> String {
        let speed = match &self.outcome {
            Outcome::Speed(speed) => speed,
            Outcome::Accuracy { .. } => return "accuracy".to_owned(),
            Outcome::NotRun { .. } => return String::new(),
        };
        match speed.phases.first().map(|phase| &phase.arrivals) {
            Some(Arrivals::Poisson { rate, .. } | Arrivals::Constant { rate }) => {
                format!("{} {rate}/s", speed.mode)
            }
            _ => speed.mode.clone(),
        }
    }
}

/// For instance `vgg (onnxruntime), 2 replicas x 1 CPU, batch 4, profile`.
impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.model)?;
        if !self.engine.is_empty() {
            write!(f, " ({})", self.engine)?;
        }
        let (replicas, cpus) = (self.replicas, self.cpus_per_replica);
        let plural = |count| if count == 1 { "" } else { "s" };
        write!(
            f,
            ", {replicas} replica{} x {cpus} CPU{}",
            plural(replicas),
            plural(cpus)
        )?;
        if self.gpus > 0 {
            write!(f, ", {} GPU{}", self.gpus, plural(self.gpus))?;
        }
        write!(f, ", batch {}", self.batch_size)?;
        match self.mode.as_str() {
            "" => Ok(()),
            mode => write!(f, ", {mode}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{accurate, phase, whole};
    use model::ModelInfo;
    use wire::rpc::Metadata;

    #[test]
    fn a_shape_reads_as_what_was_asked_for() {
        let mut result = whole();
        assert_eq!(
            result.key().to_string(),
            "noop, 2 replicas x 1 CPU, batch 4, saturate"
        );
        result.node_configs[0].gpus = vec![0];
        phase(&mut result).arrivals = Arrivals::Constant { rate: 80.0 };
        assert_eq!(
            result.key().to_string(),
            "noop, 2 replicas x 1 CPU, 1 GPU, batch 4, saturate 80/s"
        );
        assert_eq!(accurate().key().mode, "accuracy");
        assert_eq!(
            not_run().key().to_string(),
            "noop, 2 replicas x 1 CPU, batch 4"
        );
    }

    fn not_run() -> Trial {
        Trial {
            outcome: Outcome::NotRun {
                not_run: "no cores".to_owned(),
            },
            replicas: Vec::new(),
            ..whole()
        }
    }

    /// A point on this engine and so many GPUs.
    fn on(engine: &str, gpus: usize) -> Trial {
        let mut result = whole();
        result.node_configs[0].gpus = (0..gpus).collect();
        for replica in &mut result.replicas {
            replica.replica.metadata = Some(Metadata {
                server: "noop".to_owned(),
                server_version: "0".to_owned(),
                host: String::new(),
                pid: 1,
                batches_in_flight: 2,
                model: ModelInfo {
                    engine: engine.to_owned(),
                    ..ModelInfo::default()
                },
            });
        }
        result
    }

    #[test]
    fn rounds_that_did_not_run_belong_to_their_point() {
        let ran = on("onnxruntime 1.31", 2);
        let mut without_replicas = ran.clone();
        without_replicas.replicas.clear();
        let results = [ran.clone(), not_run(), without_replicas];
        let points = by_config(&results);
        assert_eq!(points.len(), 1);
        let (key, rounds) = points.first_key_value().unwrap();
        assert_eq!((key, rounds.all().len()), (&ran.key(), 3));

        // In two sweeps, that of the other one; another batch size is another point.
        let mut larger = not_run();
        larger.node_configs[0].batch_size = 8;
        let results = [not_run(), larger.clone()];
        let [of_a, of_b] = by_configs([std::slice::from_ref(&ran), &results]);
        assert_eq!(of_a.keys().collect::<Vec<_>>(), [&ran.key()]);
        let keys = [&larger.key(), &ran.key()];
        assert_eq!(of_b.keys().collect::<Vec<_>>(), keys);

        // What ran in the own sweep comes first.
        let (a, b) = ([on("a 1", 0)], [on("tch 2", 0), not_run()]);
        let [_, of_b] = by_configs([&a, &b]);
        assert_eq!(of_b.len(), 1);
    }
}
