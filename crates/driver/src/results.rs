//! The result file of an iteration: the original's keys, and what is missing there.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use hdrhistogram::Histogram;
use jiff::Zoned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::admin::Replica;

use crate::{
    Error,
    cli::NO_OBJECTIVE,
    machine::{Machine, Versions},
    stats::{Arrived, Slice, Tally, Totals},
};

/// Everything about one iteration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointResult {
    /// What was deployed; one entry, as the original has for a single model.
    pub node_configs: Vec<NodeConfig>,
    /// The frontend's own metrics at the end, as it reports them.
    pub clipper_metrics: Value,
    /// Rates and latencies over the run.
    pub client_metrics: ClientMetrics,
    /// False if the measured window opened before every replica had answered some batches.
    pub warm: bool,
    /// What became of the queries that were sent inside the measured window.
    pub totals: Totals,
    /// What became of those that were sent before it: nothing else here counts them, but none of them may fail either.
    pub warm_up: Totals,
    /// Answers by the model that arrived inside the window, over its length: queries a second.
    pub throughput_qps: f64,
    /// Of the queries that were sent inside the window and answered by the model; absent if there is none.
    pub latency: Option<Latency>,
    /// Mean size of the batches whose answers arrived inside the window; absent if there is none.
    pub mean_batch: Option<f64>,
    /// Number of those batches: a fraction where a batch was cut by the window's edge.
    pub batches: f64,
    /// Where the time of the answers that arrived inside the window went, in the mean; absent if there is none.
    pub time_breakdown: Option<TimeBreakdown>,
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

/// A deployed model, in the original's words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// The application's latency objective in microseconds. One hour, the default, is none: no queue here reaches it.
    pub slo: u64,
    /// Replicas.
    pub num_replicas: usize,
    /// The GPUs of the replicas: the first replicas have one each, the others none.
    pub gpus: Vec<usize>,
    /// The maximum batch size.
    pub batch_size: usize,
}

/// One entry per slice of the window, each a second long or a little more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientMetrics {
    /// Answers a second.
    pub thrus: Vec<f64>,
    /// 99th percentile of the latency in seconds; null where nothing was answered.
    pub p99_lats: Vec<Option<f64>>,
    /// Mean latency in seconds; null where nothing was answered.
    pub mean_lats: Vec<Option<f64>>,
}

/// Latency in milliseconds, from just before a query is sent until its answer has been received, on a monotonic clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// All of it: `[microseconds, queries]`, to three figures, ascending.
    pub histogram: Vec<(u64, u64)>,
}

/// Mean microseconds per query. The first two add up to its time in the frontend; the last three are a part of `away`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeBreakdown {
    /// In the frontend, until its batch was sent.
    pub queued: f64,
    /// From then until the batch's response came back.
    pub away: f64,
    /// In the model server, until the model began.
    pub waited: f64,
    /// While the model computed.
    pub predicting: f64,
    /// From the model's end until the response was sent.
    pub replying: f64,
}

/// A replica, as frontend and kernel see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplicaResult {
    /// What the frontend knows of it, its artifact's origin included.
    #[serde(flatten)]
    pub replica: Replica,
    /// Its process id.
    pub pid: Option<u32>,
    /// The cores that the kernel lets it run on, as a list.
    pub cores: Option<String>,
}

/// How the queries were sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriverConfig {
    /// The cores of driver and frontend, as read back from the kernel, as lists.
    pub cores: BTreeMap<String, String>,
    /// Client threads.
    pub num_clients: usize,
    /// Queries in flight, over all clients.
    pub in_flight: usize,
    /// The seed of random inputs.
    pub seed: u64,
    /// What the inputs are, in words.
    pub inputs: String,
    /// Seconds under load, warm-up included.
    pub duration_seconds: f64,
    /// The command line.
    pub command_line: String,
}

impl PointResult {
    /// True if the number is of what was asked for: no replica was lost, some answers came inside the window, and the
    /// model answered every query, those of the warm-up too. With a latency objective, the default output is an answer
    /// as well.
    pub fn is_complete(&self) -> bool {
        let objective = self.has_objective();
        let answered = |totals: &Totals| {
            let defaults = if objective { totals.default } else { 0 };
            totals.sent == totals.ok + defaults
        };
        !self.lost_replicas()
            && (objective || self.batches > 0.0)
            && self.totals.sent > 0
            && answered(&self.totals)
            && answered(&self.warm_up)
    }

    /// True if fewer replicas than asked for worked through the whole iteration.
    pub fn lost_replicas(&self) -> bool {
        self.replicas_died.max(self.replicas_lost) > 0
    }

    fn has_objective(&self) -> bool {
        let none = NO_OBJECTIVE.as_micros();
        let mut nodes = self.node_configs.iter();
        nodes.any(|node| u128::from(node.slo) != none)
    }
}

impl ClientMetrics {
    /// Reads `count` slices, each `seconds` long; a slice that nobody has counted in is empty.
    pub fn new(tally: &mut Tally, count: usize, seconds: f64) -> ClientMetrics {
        let slices: Vec<&Slice> = match count.checked_sub(1) {
            Some(last) => {
                tally.slice(last);
                tally.slices.iter().collect()
            }
            None => Vec::new(),
        };
        let seconds_of = |micros: f64| micros / 1e6;
        let of = |slice: &Slice, read: &dyn Fn(&Histogram<u64>) -> f64| {
            (!slice.latency.is_empty()).then(|| seconds_of(read(&slice.latency)))
        };
        ClientMetrics {
            thrus: slices
                .iter()
                .map(|slice| slice.ok as f64 * count as f64 / seconds)
                .collect(),
            p99_lats: slices
                .iter()
                .map(|slice| of(slice, &|l| l.value_at_quantile(0.99) as f64))
                .collect(),
            mean_lats: slices
                .iter()
                .map(|slice| of(slice, &|l| l.mean()))
                .collect(),
        }
    }
}

impl Latency {
    /// Reads a histogram of microseconds; `None` if it is empty.
    pub fn new(micros: &Histogram<u64>) -> Option<Latency> {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1e3;
        (!micros.is_empty()).then(|| Latency {
            mean: micros.mean() / 1e3,
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: micros.max() as f64 / 1e3,
            histogram: micros
                .iter_recorded()
                .map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect(),
        })
    }
}

impl TimeBreakdown {
    /// Means of the sums; `None` if nothing arrived.
    pub fn new(arrived: &Arrived) -> Option<TimeBreakdown> {
        let [queued, away, waited, predicting, replying] =
            arrived.micros.map(|sum| sum as f64 / arrived.ok as f64);
        (arrived.ok > 0).then_some(TimeBreakdown {
            queued,
            away,
            waited,
            predicting,
            replying,
        })
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
        let result = json!({
            "node_configs": [node], "clipper_metrics": {},
            "client_metrics": {"thrus": [20.0], "p99_lats": [0.1], "mean_lats": [0.1]},
            "warm": true, "totals": totals, "warm_up": totals, "throughput_qps": 20.0, "mean_batch": 4.0,
            "batches": 25.0, "replicas": [], "replicas_died": 0, "replicas_lost": 0, "pinning": "shared",
            "driver": {
                "cores": {}, "num_clients": 1, "in_flight": 24, "seed": 1, "inputs": "", "duration_seconds": 10.0,
                "command_line": "driver"
            },
            "machine": {"cpu": "", "cores": 1, "allowed_cores": "0", "memory_mib": 1, "kernel": ""},
            "versions": {"driver": "0", "profile": "release"}
        });
        serde_json::from_value(result).unwrap()
    }

    fn is_complete(change: impl Fn(&mut PointResult)) -> bool {
        let mut result = whole();
        change(&mut result);
        result.is_complete()
    }

    #[test]
    fn a_query_that_the_model_did_not_answer_makes_the_iteration_incomplete_even_in_warm_up() {
        assert!(is_complete(|_| ()));
        assert!(!is_complete(|result| result.totals.ok -= 1));
        assert!(!is_complete(|result| result.warm_up.ok -= 1));
        assert!(!is_complete(|result| result.totals = Totals::default()));
        assert!(!is_complete(|result| result.batches = 0.0));
    }

    #[test]
    fn a_replica_that_died_or_came_back_as_another_makes_the_iteration_incomplete() {
        assert!(!is_complete(|result| result.replicas_died = 1));
        assert!(!is_complete(|result| result.replicas_lost = 1));
    }

    #[test]
    fn with_an_objective_the_default_output_is_an_answer() {
        let late = |result: &mut PointResult| {
            (result.totals.ok, result.totals.default) = (0, 100);
            (result.warm_up.ok, result.warm_up.default) = (99, 1);
            result.batches = 0.0;
        };
        assert!(!is_complete(late));
        assert!(is_complete(|result| {
            late(result);
            result.node_configs[0].slo = 20_000;
        }));
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

    #[test]
    fn a_slice_without_answers_is_a_rate_of_zero_and_no_latency() {
        let mut tally = Tally::new();
        tally.slice(1).ok = 10;
        tally.slice(1).latency.record(2_000_000).unwrap();
        let metrics = ClientMetrics::new(&mut tally, 4, 8.0);
        assert_eq!(metrics.thrus, [0.0, 5.0, 0.0, 0.0]);
        assert_eq!(metrics.mean_lats.len(), 4);
        assert_eq!(metrics.mean_lats[0], None);
        assert!((metrics.mean_lats[1].unwrap() - 2.0).abs() < 0.002);
        let text = serde_json::to_string(&metrics).unwrap();
        assert!(text.contains("\"thrus\":[0.0,5.0,0.0,0.0]"), "{text}");
    }

    #[test]
    fn nothing_answered_is_no_latency_and_no_breakdown() {
        let tally = Tally::new();
        assert_eq!(Latency::new(&tally.latency), None);
        assert_eq!(TimeBreakdown::new(&tally.arrived), None);
    }
}
