//! The result of one measurement: Clipper's keys, and further ones.

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
use wire::admin::ReplicaInfo;

use crate::{
    accuracy::AccuracyRun,
    config::Config,
    speed::Speed,
    verdict::{Verdict, VerdictStatus},
};

/// Version of the format of result files. Files of the former version are converted when they are
/// read.
pub const FORMAT: u32 = 3;

/// Latency objective that the frontend gets when none is to be enforced; no queue reaches it.
pub const UNENFORCED_SLO: Duration = Duration::from_secs(3600);

/// One measurement of a configuration: settings, figures and verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "PointResult")]
pub struct Trial {
    /// Version of the file format.
    #[schemars(extend("const" = FORMAT))]
    pub format: u32,
    /// Round of the measurement, from 1.
    pub round: usize,
    /// Verdict on the numbers.
    pub verdict: Verdict,
    /// Deployed models; one entry, as the original driver writes for a single model.
    pub node_configs: Vec<NodeConfig>,
    /// Metrics of the frontend at the end, as it reports them.
    pub clipper_metrics: Value,
    /// The measured speed or accuracy.
    #[serde(flatten)]
    pub outcome: TrialOutcome,
    /// Queries sent inside the windows of all phases, by status; in an accuracy run, all queries.
    pub totals: Totals,
    /// Use of the machine's resources; absent in an accuracy run.
    pub resources: Option<Resources>,
    /// Replicas that were registered at the end.
    pub replicas: Vec<ReplicaResult>,
    /// Number of replicas whose process ended before the trial did.
    pub replicas_died: usize,
    /// Number of replicas that were registered when the load began and not at the end, for instance
    /// because they reconnected under another id. A replica that has just died may still count as
    /// registered.
    pub replicas_lost: usize,
    /// Reason in the first answer that was not the model's.
    pub first_reason: Option<String>,
    /// Sharing of cores between replicas, frontend and driver, in words.
    pub pinning: String,
    /// The load generator.
    pub driver: DriverConfig,
    /// The machine.
    pub machine: Machine,
    /// Versions of the measured programs and of the driver.
    pub versions: Versions,
}

/// Outcome of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TrialOutcome {
    /// The model's speed.
    Speed(Box<Speed>),
    /// The accuracy of the answers. The file has no key of a speed.
    Accuracy {
        /// The counts.
        accuracy_run: AccuracyRun,
    },
    /// Nothing was measured.
    NotRun {
        /// Reason: a missing resource, or a failure.
        not_run: String,
    },
}

/// A deployed model, with the original driver's keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeConfig {
    /// Name of the model.
    pub name: String,
    /// Input type.
    pub input_type: String,
    /// Program or image of the model server.
    pub model_image: String,
    /// Cores of all replicas.
    pub allocated_cpus: Vec<usize>,
    /// Cores of each replica.
    pub cpus_per_replica: usize,
    /// Latency objective that the frontend enforces, in microseconds; one hour stands for none.
    pub slo: u64,
    /// Number of replicas.
    pub num_replicas: usize,
    /// GPUs of the replicas: the first replicas have one each, the others none.
    pub gpus: Vec<usize>,
    /// Maximum batch size.
    pub batch_size: usize,
}

/// A replica, as the frontend and the kernel report it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaResult {
    /// The frontend's record of the replica, including the origin of its artifact.
    #[serde(flatten)]
    #[schemars(with = "Value")]
    pub replica: ReplicaInfo,
    /// Process id.
    pub pid: Option<u32>,
    /// Cores on which the kernel runs it, as a list.
    pub cores: Option<String>,
}

/// Settings of the load generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DriverConfig {
    /// Manager of frontend and replicas: `process`, or `docker` and the engine's version.
    #[serde(default = "DriverConfig::first_manager")]
    pub manager: String,
    /// Cores of driver and frontend, read back from the kernel, as lists.
    pub cores: BTreeMap<String, String>,
    /// Number of client threads.
    pub num_clients: usize,
    /// Queries in flight in a closed loop, over all clients.
    pub in_flight: usize,
    /// Latency objective in milliseconds, enforced by the frontend or not; absent without one.
    pub objective_ms: Option<f64>,
    /// Seed of random inputs and arrivals.
    pub seed: u64,
    /// Description of the inputs.
    pub inputs: String,
    /// Seconds under load, including the warm-up; zero in an accuracy run, which has no fixed
    /// duration.
    pub duration_seconds: f64,
    /// Command line of the driver.
    pub command_line: String,
}

impl DriverConfig {
    /// Returns the manager of results that do not name it: at that time there was only one.
    fn first_manager() -> String {
        "process".to_owned()
    }

    /// Returns the cores of `driver` or `frontend`; `None` if they were not read back.
    pub fn cores_of(&self, process: &str) -> Option<Cores> {
        cores::parse(slice::from_ref(self.cores.get(process)?)).ok()
    }
}

impl NodeConfig {
    /// Returns the same model at this configuration; the allocated cores stay as they are.
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
    /// Returns the artifact, if the model server reported one.
    pub fn artifact(&self) -> Option<&Artifact> {
        self.replica.metadata.as_ref()?.model.artifact.as_ref()
    }
}

impl Trial {
    /// Returns a trial of this configuration that did not run, with the reason; the rest is copied.
    pub fn not_made(&self, config: Config, why: String) -> Trial {
        Trial {
            node_configs: self
                .node_configs
                .iter()
                .map(|node| node.at(config))
                .collect(),
            outcome: TrialOutcome::NotRun { not_run: why },
            ..self.clone()
        }
    }

    /// True if the numbers measure what was requested.
    pub fn is_complete(&self) -> bool {
        self.verdict.status != VerdictStatus::Invalid
    }

    /// Returns the configuration.
    pub fn config(&self) -> Config {
        let node = &self.node_configs[0];
        Config {
            replicas: node.num_replicas,
            cpus_per_replica: node.cpus_per_replica,
            batch_size: node.batch_size,
        }
    }

    /// Returns the reason if nothing was measured.
    pub fn not_run(&self) -> Option<&str> {
        match &self.outcome {
            TrialOutcome::NotRun { not_run } => Some(not_run),
            TrialOutcome::Speed(_) | TrialOutcome::Accuracy { .. } => None,
        }
    }

    /// Returns the speed, if it was measured.
    pub fn speed(&self) -> Option<&Speed> {
        match &self.outcome {
            TrialOutcome::Speed(speed) => Some(speed),
            TrialOutcome::Accuracy { .. } | TrialOutcome::NotRun { .. } => None,
        }
    }

    /// Returns the accuracy, if it was counted.
    pub fn accuracy(&self) -> Option<&AccuracyRun> {
        match &self.outcome {
            TrialOutcome::Accuracy { accuracy_run } => Some(accuracy_run),
            TrialOutcome::Speed(_) | TrialOutcome::NotRun { .. } => None,
        }
    }

    /// True if a replica died or lost its connection during the trial.
    pub fn lost_replicas(&self) -> bool {
        self.replicas_died.max(self.replicas_lost) > 0
    }

    /// True if the frontend enforces the objective: it answers with the default output when a query
    /// misses it.
    pub fn enforces_slo(&self) -> bool {
        let none = UNENFORCED_SLO.as_micros();
        let mut nodes = self.node_configs.iter();
        nodes.any(|node| u128::from(node.slo) != none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{accurate, whole};

    #[test]
    fn accuracy_run_has_no_keys_of_a_speed() {
        let json = serde_json::to_value(accurate()).unwrap();
        for key in ["throughput_qps", "client_metrics", "phases", "baseline"] {
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
