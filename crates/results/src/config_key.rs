//! The key that distinguishes the configurations of one or several sweeps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use loadgen::Arrivals;

use crate::{
    rounds::Rounds,
    trial::{NodeConfig, Trial, TrialOutcome},
};

/// A requested configuration with model and mode. It is the same for all rounds, and for the
/// configurations of two sweeps that can be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigKey {
    /// Model name.
    pub model: String,
    /// Engine without its version; empty if no replica reported it.
    pub engine: String,
    /// Input type.
    pub input_type: String,
    /// Number of replicas.
    pub replicas: usize,
    /// Cores of each replica.
    pub cpus_per_replica: usize,
    /// Number of replicas with a GPU.
    pub gpus: usize,
    /// Maximum batch size.
    pub batch_size: usize,
    /// Mode of sending, with the rate if one was requested: `profile`, `poisson 80/s`; `accuracy`
    /// for an accuracy run. Empty if the trial did not run, because its result does not have the
    /// mode.
    pub mode: String,
}

/// Rounds by configuration.
pub type RoundsByConfig<'a> = BTreeMap<ConfigKey, Rounds<'a>>;

/// Groups trials by configuration; rounds keep the order of the results.
pub fn by_config(results: &[Trial]) -> RoundsByConfig<'_> {
    let [rounds, _] = by_configs([results, &[]]);
    rounds
}

/// Groups the trials of two sweeps by configuration. A trial with an incomplete key (it did not
/// run, or no replica was left to report the engine) is a round of the configuration that matches
/// the rest: in its own sweep, else in the other.
pub fn by_configs<'a>(sweeps: [&'a [Trial]; 2]) -> [RoundsByConfig<'a>; 2] {
    let keys = sweeps.map(|results| -> BTreeSet<ConfigKey> {
        let ran = results.iter().filter(|result| result.not_run().is_none());
        ran.map(Trial::key).collect()
    });
    let grouped = |own: usize| {
        let mut rounds = RoundsByConfig::new();
        for result in sweeps[own] {
            let key = result.key();
            // In descending order, because keys with an engine come last.
            let known = keys[own].iter().rev().chain(keys[1 - own].iter().rev());
            let whole = known.into_iter().find(|known| known.completes(&key));
            let key = whole.cloned().unwrap_or(key);
            rounds.entry(key).or_default().push(result);
        }
        rounds
    };
    [grouped(0), grouped(1)]
}

impl ConfigKey {
    /// True if `part` is incomplete and this key agrees with the rest of it. Without a run, the
    /// GPUs are unknown too.
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
    /// Returns the key of the configuration.
    pub fn key(&self) -> ConfigKey {
        let node = self.node_configs.first();
        let text = |read: fn(&NodeConfig) -> &String| node.map(read).cloned().unwrap_or_default();
        let count = |read: fn(&NodeConfig) -> usize| node.map_or(0, read);
        let mut metadata = self
            .replicas
            .iter()
            .filter_map(|r| r.replica.metadata.as_ref());
        let engine = metadata
            .next()
            .and_then(|metadata| metadata.model.engine.split(' ').next());
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
            TrialOutcome::Speed(speed) => speed,
            TrialOutcome::Accuracy { .. } => return "accuracy".to_owned(),
            TrialOutcome::NotRun { .. } => return String::new(),
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
    fn displays_the_requested_configuration() {
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
            outcome: TrialOutcome::NotRun {
                not_run: "no cores".to_owned(),
            },
            replicas: Vec::new(),
            ..whole()
        }
    }

    /// A trial on this engine and number of GPUs.
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
    fn incomplete_keys_match_their_configuration() {
        let ran = on("onnxruntime 1.31", 2);
        let mut without_replicas = ran.clone();
        without_replicas.replicas.clear();
        let results = [ran.clone(), not_run(), without_replicas];
        let grouped = by_config(&results);
        assert_eq!(grouped.len(), 1);
        let (key, rounds) = grouped.first_key_value().unwrap();
        assert_eq!((key, rounds.all().len()), (&ran.key(), 3));

        // With two sweeps, the other one completes the key. Another batch size is another
        // configuration.
        let mut larger = not_run();
        larger.node_configs[0].batch_size = 8;
        let results = [not_run(), larger.clone()];
        let [of_a, of_b] = by_configs([std::slice::from_ref(&ran), &results]);
        assert_eq!(of_a.keys().collect::<Vec<_>>(), [&ran.key()]);
        let keys = [&larger.key(), &ran.key()];
        assert_eq!(of_b.keys().collect::<Vec<_>>(), keys);

        // The own sweep has precedence.
        let (a, b) = ([on("a 1", 0)], [on("tch 2", 0), not_run()]);
        let [_, of_b] = by_configs([&a, &b]);
        assert_eq!(of_b.len(), 1);
    }
}
