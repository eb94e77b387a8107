//! The result file of an iteration: the original's keys, and what is missing there.

mod accuracy;
#[cfg(test)]
pub(crate) mod fixture;
mod folder;
mod rounds;
mod schema;
mod shape;
mod speed;
mod verdict;

pub use accuracy::AccuracyRun;
pub(crate) use folder::files;
pub use folder::{Filed, Folder, NotRead};
pub use rounds::{RoundCounts, Rounds};
pub(crate) use rounds::{middle, sorted};
pub use schema::schema;
pub use shape::{Points, Shape, by_shape, by_shapes};
pub use speed::{
    Arrivals, ClientMetrics, Estimate, Generator, Lag, Latency, Percentile, Phase, PhaseKind,
    Search, Speed, TimeBreakdown, Window, Zero,
};
pub use verdict::{Reason, Status, Verdict};

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    iter,
    path::{Path, PathBuf},
    slice,
};

use host::{
    Resources,
    cores::{self, Cores},
    machine::{Machine, Versions},
};
use jiff::Zoned;
use model::Artifact;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::admin::Replica;

use crate::{Error, plan::Cell, settings::UNENFORCED, stats::Totals};

/// The version of the result files' format. A file of another one is not read.
pub const FORMAT: u32 = 2;

/// Everything about one point of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointResult {
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

impl ReplicaResult {
    /// What its artifact is, as far as its model server told.
    pub fn artifact(&self) -> Option<&Artifact> {
        self.replica.metadata.as_ref()?.model.artifact.as_ref()
    }
}

impl PointResult {
    /// True if the number is of what was asked for.
    pub fn is_complete(&self) -> bool {
        self.verdict.status != Status::Invalid
    }

    /// What tells it from the other points of its sweep.
    pub fn cell(&self) -> Cell {
        let node = &self.node_configs[0];
        Cell {
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
        for name in names("results-") {
            let slot = Slot {
                file: folder.join(format!("{name}.json")),
                logs: folder.join("logs").join(&name),
            };
            match fs::create_dir(&slot.logs) {
                Ok(()) if !slot.file.exists() => return Ok(slot),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::file("make the folder", &slot.logs, error));
                }
                _ => {}
            }
        }
        unreachable!("the names do not end")
    }

    /// Writes the result.
    pub fn write(&self, result: &PointResult) -> Result<(), Error> {
        write(&self.file, result)
    }
}

/// Names for what begins now: the prefix and `YYMMDD_HHMMSS`, then the same with `-2` and so on.
pub(crate) fn names(prefix: &str) -> impl Iterator<Item = String> {
    let first = format!("{prefix}{}", Zoned::now().strftime("%y%m%d_%H%M%S"));
    iter::once(first.clone()).chain((2..).map(move |number| format!("{first}-{number}")))
}

/// Writes a file of JSON, whole or not at all.
pub(crate) fn write(path: &Path, content: &impl Serialize) -> Result<(), Error> {
    let failed = |error: io::Error| Error::file("write", path, error);
    let mut bytes = serde_json::to_vec_pretty(content).map_err(|error| failed(error.into()))?;
    bytes.push(b'\n');
    let unfinished = path.with_extension("unfinished");
    let mut file = File::create(&unfinished).map_err(failed)?;
    file.write_all(&bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::{
        fixture::{accurate, whole},
        *,
    };
    use std::collections::BTreeSet;

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
