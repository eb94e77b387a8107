//! The settings of a sweep, checked as far as possible without looking at the machine.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use deploy::{ManagerSpec, docker::DockerSettings, models::KnownModel};
use host::cores::{CoreRequest, Cores};
use loadgen::Arrivals;
use model::DataType;
use results::UNENFORCED_SLO;
use serde::{Serialize, Serializer};

/// The settings of a sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// The model to measure.
    #[serde(serialize_with = "by_name")]
    pub model: &'static KnownModel,
    /// Data type of the inputs.
    pub input_type: DataType,
    /// Time under load of each trial, over all phases and warm-ups; with a trace at most its length. Zero in an
    /// accuracy run, which ends after the last input.
    #[serde(serialize_with = "in_seconds")]
    pub duration: Duration,
    /// Maximum batch sizes to try.
    pub batch_sizes: Vec<usize>,
    /// Numbers of replicas to try.
    pub num_replicas: Vec<usize>,
    /// Number of rounds, each with one trial of every config.
    pub repeats: usize,
    /// Settings of Docker containers; `None` runs frontend and replicas as processes.
    pub docker: Option<DockerSettings>,
    /// Inference engine; `None` for the model's default.
    pub engine: Option<&'static str>,
    /// GPUs for the replicas, one each.
    pub gpus: Vec<u32>,
    /// Runs the replicas for which no GPU is left on CPU cores.
    pub cpu_beyond_gpus: bool,
    /// Share of its GPU's memory that a replica may use.
    pub gpu_mem_frac: f32,
    /// Cores for the replicas; `None` for all cores.
    pub model_cpus: Option<Cores>,
    /// Numbers of cores per replica to try; empty for an even share.
    pub cpus_per_replica: Vec<usize>,
    /// Cores for the frontend; `None` for a part of the remaining ones.
    pub frontend_cpus: Option<Cores>,
    /// Cores for the driver; `None` for a part of the remaining ones.
    pub client_cpus: Option<Cores>,
    /// Phases of a trial, and arrival process of its queries.
    pub mode: Mode,
    /// Offered loads of a profile's latency phases, as shares of the measured throughput: ascending, above 0, below
    /// 1.
    pub load_shares: Vec<f64>,
    /// Ends a phase early once the 95 % confidence interval of its result is within plus or minus this share of it.
    pub until: Option<f64>,
    /// Number of client threads.
    pub num_clients: usize,
    /// Queries in flight in a closed loop; `None` for enough to fill every replica's batches.
    pub in_flight: Option<usize>,
    /// Latency objective (SLO): goodput counts the answers within it, and a profile searches for the highest rate
    /// whose p99 meets it.
    #[serde(serialize_with = "in_seconds_if_any")]
    pub objective: Option<Duration>,
    /// Passes the objective to the frontend, which answers late queries with the default output.
    pub enforce_objective: bool,
    /// Offered load for which a configuration is recommended, in queries per second.
    pub target_qps: Option<f64>,
    /// The no-op model is measured first, once for each shape.
    pub baseline: bool,
    /// Path of the model's artifact; `None` for the model server's own.
    pub model_path: Option<String>,
    /// Folder or file of the inputs; `None` for seeded random inputs.
    pub input_dir: Option<PathBuf>,
    /// Labels of the inputs. With labels the sweep is an accuracy run, which sends each input once.
    pub labels: Option<PathBuf>,
    /// Seed of random inputs, arrival times and the order of trials.
    pub seed: u64,
    /// Folder that holds the folders of sweeps.
    pub results_dir: PathBuf,
    /// Folder of a sweep to continue.
    pub resume: Option<PathBuf>,
    /// Prints the plan and starts nothing.
    pub dry_run: bool,
    /// Prints plain lines instead of the live view.
    pub plain: bool,
    /// The command line as typed.
    #[serde(skip)]
    pub command_line: String,
    /// All flags that were set, by command line, file or environment, as arguments that repeat the sweep.
    #[serde(skip)]
    pub arguments: Vec<String>,
}

/// Phases of a trial, and arrival process of the first one.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// Throughput in a closed loop, then latency under Poisson arrivals at shares of it or, with an objective, the
    /// highest rate that meets it.
    Profile,
    /// Throughput in a closed loop.
    Saturate,
    /// Latency in an open loop.
    Open(Arrivals),
    /// Evenly spaced sends at a constant rate, as in the original driver.
    Flood(Arrivals),
    /// Latency with one query in flight, which never queues.
    SingleStream,
    /// Throughput, then latency with one query in flight: the phases of the no-op model.
    Baseline,
}

impl Settings {
    /// Returns the spec of the manager that starts frontend and model servers.
    pub fn manager(&self) -> ManagerSpec<'_> {
        ManagerSpec {
            model: self.model,
            with_noop: self.baseline,
            engine: self.engine,
            model_path: self.model_path.as_deref(),
            on_gpus: !self.gpus.is_empty(),
            docker: self.docker.as_ref(),
        }
    }

    /// Returns the cores that the flags request.
    pub fn cores(&self) -> CoreRequest<'_> {
        CoreRequest {
            model: self.model_cpus.as_deref(),
            per_replica: &self.cpus_per_replica,
            frontend: self.frontend_cpus.as_deref(),
            clients: self.client_cpus.as_deref(),
            client_threads: self.num_clients,
        }
    }

    /// Returns the latency objective with which the application is registered at the frontend.
    pub fn frontend_objective(&self) -> Duration {
        match self.enforce_objective {
            true => self.objective.unwrap_or(UNENFORCED_SLO),
            false => UNENFORCED_SLO,
        }
    }
}

impl Mode {
    /// Returns the mode's name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Mode::Profile => "profile",
            Mode::Saturate => "saturate",
            Mode::Open(arrivals) => arrivals.name(),
            Mode::Flood(_) => "flood",
            Mode::SingleStream => "single-stream",
            Mode::Baseline => "baseline",
        }
    }
}

/// Serializes the name, with the rate or the file of the trace if there is one.
impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = self.name().replace('-', "_");
        match self {
            Mode::Open(arrivals) | Mode::Flood(arrivals) => match arrivals {
                Arrivals::Closed { in_flight } => {
                    BTreeMap::from([(name, in_flight)]).serialize(serializer)
                }
                Arrivals::Poisson { rate, .. } | Arrivals::Constant { rate } => {
                    BTreeMap::from([(name, rate)]).serialize(serializer)
                }
                Arrivals::Trace { file, .. } => {
                    BTreeMap::from([(name, file)]).serialize(serializer)
                }
            },
            Mode::Profile | Mode::Saturate | Mode::SingleStream | Mode::Baseline => {
                name.serialize(serializer)
            }
        }
    }
}

fn by_name<S: Serializer>(model: &KnownModel, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(model.name)
}

/// Serializes a duration in seconds.
pub(crate) fn in_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

fn in_seconds_if_any<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn modes_are_recorded_with_their_rate() {
        let trace = Arrivals::Trace {
            file: "trace.txt".to_owned(),
            arrivals: 2,
            seconds: 1.0,
            left_out: 0,
            times: [Duration::ZERO; 2].into(),
        };
        let rate = 7.5;
        for (mode, recorded) in [
            (Mode::SingleStream, json!("single_stream")),
            (
                Mode::Open(Arrivals::poisson(rate)),
                json!({"poisson": rate}),
            ),
            (
                Mode::Flood(Arrivals::Constant { rate }),
                json!({"flood": rate}),
            ),
            (Mode::Open(trace), json!({"trace": "trace.txt"})),
        ] {
            assert_eq!(serde_json::to_value(mode).unwrap(), recorded);
        }
    }
}
