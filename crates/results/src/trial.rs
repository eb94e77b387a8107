//! The result of one measurement: the original's keys, and what is missing there.

use std::{collections::BTreeMap, slice, time::Duration};

use host::{
    Resources,
    cores::{self, Cores},
    machine::{Machine, Versions},
};
use loadgen::stats::Totals;
use model::Artifact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::admin::Replica;

use crate::{
    accuracy::AccuracyRun,
    config::Config,
    speed::Speed,
    verdict::{Status, Verdict},
};

/// The version of the result files' format. A file of another one is not read.
pub const FORMAT: u32 = 2;

/// What the frontend is told as the application's latency objective where none is to be enforced: no queue here reaches
/// it.
pub const UNENFORCED: Duration = Duration::from_secs(3600);

/// Everything about one point of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "PointResult")]
pub struct Trial {
    /// The version of this file's format.
    #[schemars(extend("const" = FORMAT))]
    pub format: u32,
    /// The round in which it was measured, from 1.
    pub round: usize,
    /// Whether the numbers may be acted on.
    pub verdict: Verdict,
    /// What was deployed; one entry, as the original has for a single model.
    pub node_configs: Vec<NodeConfig>,
    /// The frontend's own metrics at the end, as it reports them.
    pub clipper_metrics: Value,
    /// What was found: a speed or an accuracy.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What became of the queries that were sent inside the measured windows of all phases; of all, in an accuracy run.
    pub totals: Totals,
    /// What it used of the machine; absent in an accuracy run.
    pub resources: Option<Resources>,
    /// Every replica that was registered at the end.
    pub replicas: Vec<ReplicaResult>,
    /// Replicas whose process ended before the iteration did.
    pub replicas_died: usize,
    /// Replicas that were registered when the load began and no more at the end, for instance because their connection
    /// broke and they came back under another id. One that has just died may not be among them yet.
    pub replicas_lost: usize,
    /// What the first answer that was not the model's gave as its reason.
    pub first_reason: Option<String>,
    /// Who shared cores with whom, in words.
    pub pinning: String,
    /// What sent the queries.
    pub driver: DriverConfig,
    /// What all this ran on.
    pub machine: Machine,
    /// What was measured, and by what.
    pub versions: Versions,
}

/// What an iteration was for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Outcome {
    /// How fast the model serves.
    Speed(Box<Speed>),
    /// How right the answers are; no key of a speed is in its file.
    Accuracy {
        /// What was counted.
        accuracy_run: AccuracyRun,
    },
    /// Nothing: it could not run, and this is why.
    NotRun {
        /// What is missing, or what went wrong.
        not_run: String,
    },
}

/// A deployed model, in the original's words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeConfig {
    /// The model.
    pub name: String,
    /// The type of its inputs.
    pub input_type: String,
    /// The program that serves it.
    pub model_image: String,
    /// Every core that a replica may use.
    pub allocated_cpus: Vec<usize>,
    /// Cores that each replica may use.
    pub cpus_per_replica: usize,
    /// The latency objective that the frontend was told, in microseconds. One hour is none: no queue here reaches it.
    pub slo: u64,
    /// Replicas.
    pub num_replicas: usize,
    /// The GPUs of the replicas: the first replicas have one each, the others none.
    pub gpus: Vec<usize>,
    /// The maximum batch size.
    pub batch_size: usize,
}

/// A replica, as frontend and kernel see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaResult {
    /// What the frontend knows of it, its artifact's origin included.
    #[serde(flatten)]
    #[schemars(with = "Value")]
    pub replica: Replica,
    /// Its process id.
    pub pid: Option<u32>,
    /// The cores that the kernel lets it run on, as a list.
    pub cores: Option<String>,
}

/// How the queries were sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DriverConfig {
    /// What started frontend and replicas: `process`, or `docker` and the engine's version.
    #[serde(default = "DriverConfig::first_manager")]
    pub manager: String,
    /// The cores of driver and frontend, as read back from the kernel, as lists.
    pub cores: BTreeMap<String, String>,
    /// Client threads.
    pub num_clients: usize,
    /// Queries in flight in a closed loop, over all clients.
    pub in_flight: usize,
    /// The latency objective in milliseconds, whether the frontend was told or not; absent without one.
    pub objective_ms: Option<f64>,
    /// The seed of random inputs and arrivals.
    pub seed: u64,
    /// What the inputs are, in words.
    pub inputs: String,
    /// Seconds under load, warm-up included; zero in an accuracy run, which ends by itself.
    pub duration_seconds: f64,
    /// The command line.
    pub command_line: String,
}

impl DriverConfig {
    /// Of results from before there was a choice.
    fn first_manager() -> String {
        "process".to_owned()
    }

    /// The cores of `driver` or `frontend`; `None` if they were not read back.
    pub fn cores_of(&self, process: &str) -> Option<Cores> {
        cores::parse(slice::from_ref(self.cores.get(process)?)).ok()
    }
}

impl NodeConfig {
    /// The same model at this combination, on no cores yet.
    pub fn at(&self, config: Config) -> NodeConfig {
        NodeConfig {
            cpus_per_replica: config.cpus_per_replica,
            num_replicas: config.replicas,
            batch_size: config.batch_size,
            ..self.clone()
        }
    }
}

impl ReplicaResult {
    /// What its artifact is, as far as its model server told.
    pub fn artifact(&self) -> Option<&Artifact> {
        self.replica.metadata.as_ref()?.model.artifact.as_ref()
    }
}

impl Trial {
    /// The trial of this combination that could not be made, and why; what does not depend on the combination is as in
    /// this one.
    pub fn not_made(&self, config: Config, why: String) -> Trial {
        Trial {
            node_configs: self
                .node_configs
                .iter()
                .map(|node| node.at(config))
                .collect(),
            outcome: Outcome::NotRun { not_run: why },
            ..self.clone()
        }
    }

    /// True if the number is of what was asked for.
    pub fn is_complete(&self) -> bool {
        self.verdict.status != Status::Invalid
    }

    /// What tells it from the other points of its sweep.
    pub fn config(&self) -> Config {
        let node = &self.node_configs[0];
        Config {
            replicas: node.num_replicas,
            cpus_per_replica: node.cpus_per_replica,
            batch_size: node.batch_size,
        }
    }

    /// Why nothing was measured, where that is so.
    pub fn not_run(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::NotRun { not_run } => Some(not_run),
            Outcome::Speed(_) | Outcome::Accuracy { .. } => None,
        }
    }

    /// The speed, where that is what was measured.
    pub fn speed(&self) -> Option<&Speed> {
        match &self.outcome {
            Outcome::Speed(speed) => Some(speed),
            Outcome::Accuracy { .. } | Outcome::NotRun { .. } => None,
        }
    }

    /// The accuracy, where that is what was counted.
    pub fn accuracy(&self) -> Option<&AccuracyRun> {
        match &self.outcome {
            Outcome::Accuracy { accuracy_run } => Some(accuracy_run),
            Outcome::Speed(_) | Outcome::NotRun { .. } => None,
        }
    }

    /// True if fewer replicas than asked for worked through the whole iteration.
    pub fn lost_replicas(&self) -> bool {
        self.replicas_died.max(self.replicas_lost) > 0
    }

    /// True if the frontend was told of the objective, so that it answers with the default output what misses it.
    pub fn has_objective(&self) -> bool {
        let none = UNENFORCED.as_micros();
        let mut nodes = self.node_configs.iter();
        nodes.any(|node| u128::from(node.slo) != none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{accurate, whole};

    #[test]
    fn the_file_of_an_accuracy_run_has_no_speed_and_is_read_back() {
        let json = serde_json::to_value(accurate()).unwrap();
        for key in ["throughput_qps", "client_metrics", "phases", "zero"] {
            assert_eq!(json.get(key), None);
            let speed = serde_json::to_value(whole()).unwrap();
            assert!(speed.get(key).is_some(), "{key}");
        }
        assert_eq!(json["accuracy_run"]["right"], 97);
        assert_eq!(json["accuracy_run"]["equals_offline"], true);
        assert_eq!(serde_json::from_value::<Trial>(json).unwrap(), accurate());
        assert!(whole().speed().is_some());
    }
}
