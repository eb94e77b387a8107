//! The result file of an iteration: the original's keys, and what is missing there.

mod accuracy;
mod folder;
mod resources;
mod schema;
mod speed;
mod verdict;

pub use accuracy::AccuracyRun;
pub use folder::{Filed, Folder, NotRead};
pub use resources::{CoreUse, GpuUse, ProcessUse, Resources};
pub use schema::schema;
pub use speed::{
    Arrivals, ClientMetrics, Estimate, Generator, Lag, Latency, Percentile, Phase, PhaseKind,
    Search, Speed, TimeBreakdown, Window, Zero,
};
pub use verdict::{Reason, Status, Verdict};

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Zoned;
use model::Artifact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::admin::Replica;

use crate::{
    Error,
    machine::{Machine, Versions},
    settings::UNENFORCED,
    stats::Totals,
};

/// The version of the result files' format. A file of another one is not read.
pub const FORMAT: u32 = 2;

/// Everything about one point of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointResult {
    /// The version of this file's format: [`FORMAT`].
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

impl ReplicaResult {
    /// What its artifact is, as far as its model server told.
    pub fn artifact(&self) -> Option<&Artifact> {
        self.replica.metadata.as_ref()?.model.artifact.as_ref()
    }
}

impl PointResult {
    /// True if the number is of what was asked for: no replica was lost, and the model answered every query, those of the
    /// warm-up too. A speed needs answers inside the window; with a latency objective, the default output is an answer as
    /// well. An accuracy must not differ from the artifact's offline evaluation.
    pub fn is_complete(&self) -> bool {
        !self.lost_replicas()
            && match &self.outcome {
                Outcome::Accuracy { accuracy_run } => {
                    self.totals.ok == accuracy_run.served.of && !accuracy_run.differs()
                }
                Outcome::Speed(speed) => {
                    let objective = self.has_objective();
                    let answered = |totals: &Totals| {
                        let defaults = if objective { totals.default } else { 0 };
                        totals.sent == totals.ok + defaults
                    };
                    let whole = |phase: &Phase| {
                        (objective || phase.batches > 0.0)
                            && phase.totals.sent > 0
                            && answered(&phase.totals)
                            && answered(&phase.warm_up)
                    };
                    speed.phases.iter().all(whole)
                }
                Outcome::NotRun { .. } => false,
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

    fn has_objective(&self) -> bool {
        let none = UNENFORCED.as_micros();
        let mut nodes = self.node_configs.iter();
        nodes.any(|node| u128::from(node.slo) != none)
    }
}

/// The name of an iteration's files, taken when it starts.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The result file, written when the iteration ends.
    pub file: PathBuf,
    /// The folder of its processes' output.
    pub logs: PathBuf,
}

impl Slot {
    /// Takes the name `results-YYMMDD_HHMMSS` in `folder`, with `-2` and so on if that is taken. Making the folder of
    /// logs is what takes it: so two drivers never share one.
    pub fn take(folder: &Path) -> Result<Slot, Error> {
        let stem = Zoned::now().strftime("results-%y%m%d_%H%M%S").to_string();
        let mut name = stem.clone();
        for number in 2.. {
            let slot = Slot {
                file: folder.join(format!("{name}.json")),
                logs: folder.join("logs").join(&name),
            };
            match fs::create_dir(&slot.logs) {
                Ok(()) if !slot.file.exists() => return Ok(slot),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::file("make the folder", &slot.logs, error));
                }
                _ => name = format!("{stem}-{number}"),
            }
        }
        unreachable!("the numbers do not end")
    }

    /// Writes the result; a file that is there already is an error.
    pub fn write(&self, result: &PointResult) -> Result<(), Error> {
        let failed = |error: io::Error| Error::file("write", &self.file, error);
        let mut bytes = serde_json::to_vec_pretty(result).map_err(|error| failed(error.into()))?;
        bytes.push(b'\n');
        let mut file = File::create_new(&self.file).map_err(failed)?;
        file.write_all(&bytes).map_err(failed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeSet;

    /// 100 queries to two replicas, all answered, in batches of four.
    pub(crate) fn whole() -> PointResult {
        let totals = json!({"sent": 100, "ok": 100, "default": 0, "timeout": 0, "error": 0, "cancelled": 0, "seconds": 5.0});
        let node = json!({
            "name": "noop", "input_type": "floats", "model_image": "noop", "allocated_cpus": [0], "cpus_per_replica": 1,
            "slo": 3_600_000_000_u64, "num_replicas": 2, "gpus": [], "batch_size": 4
        });
        let phase = json!({
            "kind": "throughput", "arrivals": {"closed": {"in_flight": 24}}, "opened_seconds": 1.0, "warm_up": totals,
            "totals": totals, "steady": true, "throughput": {"value": 20.0, "low": 19.0, "high": 21.0},
            "mean_in_flight": 24.0, "mean_batch": 4.0, "batches": 25.0, "windows": []
        });
        let result = json!({
            "format": FORMAT, "round": 1, "verdict": {"status": "VALID", "reasons": []},
            "node_configs": [node], "clipper_metrics": {}, "mode": "saturate",
            "client_metrics": {"thrus": [20.0], "p99_lats": [0.1], "mean_lats": [0.1]},
            "throughput_qps": 20.0, "phases": [phase], "totals": totals,
            "replicas": [], "replicas_died": 0, "replicas_lost": 0, "pinning": "shared",
            "driver": {
                "cores": {}, "num_clients": 1, "in_flight": 24, "seed": 1, "inputs": "", "duration_seconds": 10.0,
                "command_line": "driver"
            },
            "machine": {"cpu": "", "cores": 1, "allowed_cores": "0", "memory_mib": 1, "kernel": ""},
            "versions": {"driver": "0", "profile": "release"}
        });
        serde_json::from_value(result).unwrap()
    }

    /// The same number of queries, as an accuracy run of an artifact that offline named as many rightly.
    pub(crate) fn accurate() -> PointResult {
        let offline = model::Accuracy { right: 97, of: 100 };
        let accuracy_run = AccuracyRun::new(offline, Some(offline));
        PointResult {
            outcome: Outcome::Accuracy { accuracy_run },
            ..whole()
        }
    }

    /// Its only phase.
    pub(crate) fn phase(result: &mut PointResult) -> &mut Phase {
        match &mut result.outcome {
            Outcome::Speed(speed) => &mut speed.phases[0],
            other => panic!("no speed but {other:?}"),
        }
    }

    fn is_complete(change: impl Fn(&mut PointResult)) -> bool {
        let mut result = whole();
        change(&mut result);
        result.is_complete()
    }

    #[test]
    fn a_query_that_the_model_did_not_answer_makes_the_iteration_incomplete_even_in_warm_up() {
        assert!(is_complete(|_| ()));
        assert!(!is_complete(|result| phase(result).totals.ok -= 1));
        assert!(!is_complete(|result| phase(result).warm_up.ok -= 1));
        assert!(!is_complete(
            |result| phase(result).totals = Totals::default()
        ));
        assert!(!is_complete(|result| phase(result).batches = 0.0));
    }

    #[test]
    fn a_replica_that_died_or_came_back_as_another_makes_the_iteration_incomplete() {
        assert!(!is_complete(|result| result.replicas_died = 1));
        assert!(!is_complete(|result| result.replicas_lost = 1));
    }

    #[test]
    fn with_an_objective_the_default_output_is_an_answer() {
        let late = |result: &mut PointResult| {
            let phase = phase(result);
            (phase.totals.ok, phase.totals.default) = (0, 100);
            (phase.warm_up.ok, phase.warm_up.default) = (99, 1);
            phase.batches = 0.0;
        };
        assert!(!is_complete(late));
        assert!(is_complete(|result| {
            late(result);
            result.node_configs[0].slo = 20_000;
        }));
    }

    #[test]
    fn an_accuracy_run_is_complete_if_every_query_was_answered_and_offline_was_as_right() {
        let is_complete = |change: fn(&mut PointResult)| {
            let mut result = accurate();
            change(&mut result);
            result.is_complete()
        };
        assert!(is_complete(|_| ()));
        assert!(!is_complete(|result| result.replicas_lost = 1));
        // A default output is no answer, whatever the objective.
        assert!(!is_complete(|result| {
            result.node_configs[0].slo = 20_000;
            (result.totals.ok, result.totals.default) = (99, 1);
        }));
        let against = |offline| {
            let mut result = accurate();
            let served = model::Accuracy { right: 97, of: 100 };
            let accuracy_run = AccuracyRun::new(served, offline);
            result.outcome = Outcome::Accuracy { accuracy_run };
            result.is_complete()
        };
        assert!(!against(Some(model::Accuracy { right: 98, of: 100 })));
        // Of other inputs, or of none.
        assert!(against(Some(model::Accuracy { right: 98, of: 120 })));
        assert!(against(None));
    }

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
        assert_eq!(
            serde_json::from_value::<PointResult>(json).unwrap(),
            accurate()
        );
        assert!(whole().speed().is_some());
    }

    #[test]
    fn two_points_of_one_second_have_different_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let slots: Vec<_> = (0..5).map(|_| Slot::take(folder.path()).unwrap()).collect();
        let files: BTreeSet<_> = slots.iter().map(|slot| slot.file.clone()).collect();
        let logs: BTreeSet<_> = slots.iter().map(|slot| slot.logs.clone()).collect();
        assert_eq!((files.len(), logs.len()), (5, 5));
        for file in files {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(
                name.starts_with("results-2") && name.ends_with(".json"),
                "{name}"
            );
        }
    }
}
