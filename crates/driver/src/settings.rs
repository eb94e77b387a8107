//! What to measure, free of contradictions that can be seen without looking at the machine.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use deploy::{ManagerSpec, docker::InDocker, models::KnownModel};
use host::cores::{CoreRequest, Cores};
use loadgen::Arrivals;
use model::DataType;
use results::UNENFORCED;
use serde::{Serialize, Serializer};

/// What to measure, and how.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// The model.
    #[serde(serialize_with = "by_name")]
    pub model: &'static KnownModel,
    /// The type of its inputs.
    pub input_type: DataType,
    /// How long each point is under load, all of its phases and their warm-ups included: a trace for its own length at
    /// most. Zero in an accuracy run, which ends by itself.
    #[serde(serialize_with = "in_seconds")]
    pub duration: Duration,
    /// Maximum batch sizes to try.
    pub batch_sizes: Vec<usize>,
    /// Numbers of replicas to try.
    pub num_replicas: Vec<usize>,
    /// How often each point is measured, in rounds.
    pub repeats: usize,
    /// Frontend and replicas are Docker containers; `None`: processes.
    pub docker: Option<InDocker>,
    /// The engine of the model, if it is not its usual one.
    pub engine: Option<&'static str>,
    /// The GPUs for the replicas, one for each.
    pub gpus: Vec<u32>,
    /// Replicas beyond the GPUs compute on CPU cores.
    pub cpu_beyond_gpus: bool,
    /// The share of its GPU's memory that a replica may take.
    pub gpu_mem_frac: f32,
    /// The cores for the replicas; `None`: all that there are.
    pub model_cpus: Option<Cores>,
    /// Numbers of cores per replica to try; empty: an even share.
    pub cpus_per_replica: Vec<usize>,
    /// The frontend's cores, if not those that are left.
    pub frontend_cpus: Option<Cores>,
    /// The driver's cores, if not those that are left.
    pub client_cpus: Option<Cores>,
    /// Which phases a trial has, and how queries arrive.
    pub mode: Mode,
    /// The shares of the measured throughput at which the profile measures latency, ascending, above 0 and below 1.
    pub load_shares: Vec<f64>,
    /// A phase ends early once the 95 % interval of its figure is narrower than plus or minus this share of it.
    pub until: Option<f64>,
    /// Client threads.
    pub num_clients: usize,
    /// Queries in flight in a closed loop; `None`: enough to fill every replica's batches.
    pub in_flight: Option<usize>,
    /// The latency objective: goodput counts the answers within it, and the profile looks for the highest rate whose
    /// p99 meets it.
    #[serde(serialize_with = "in_seconds_if_any")]
    pub objective: Option<Duration>,
    /// The frontend is told of the objective: queries that miss it are answered with the default output.
    pub enforce_objective: bool,
    /// The rate for which a configuration is recommended, in queries a second.
    pub target_qps: Option<f64>,
    /// The no-op model is measured first, once for each shape.
    pub zero: bool,
    /// The model's artifact, if it is not the model server's own.
    pub model_path: Option<String>,
    /// Where the inputs come from; `None`: seeded random ones.
    pub input_dir: Option<PathBuf>,
    /// The labels of the inputs: then this is an accuracy run, which sends each once.
    pub labels: Option<PathBuf>,
    /// The seed of random inputs, arrivals and the order of points.
    pub seed: u64,
    /// Where sweeps' folders go.
    pub results_dir: PathBuf,
    /// The folder of a sweep that is to be continued.
    pub resume: Option<PathBuf>,
    /// The plan is printed and nothing is started.
    pub dry_run: bool,
    /// Plain lines instead of the live view.
    pub plain: bool,
    /// The arguments as typed.
    #[serde(skip)]
    pub command_line: String,
    /// Everything that was given, by flag, file or environment, as arguments that say it again.
    #[serde(skip)]
    pub arguments: Vec<String>,
}

/// Which phases a trial has, and how queries arrive in the first one.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// The throughput in a closed loop, then the latency under Poisson arrivals at shares of it or, with an objective,
    /// the highest rate that meets it.
    Profile,
    /// The throughput alone.
    Saturate,
    /// The latency in an open loop.
    Open(Arrivals),
    /// As the original driver: evenly spaced sends at a rate, whatever the server does.
    Flood(Arrivals),
    /// One query in flight: latency without a queue.
    SingleStream,
    /// The throughput, then one query in flight: what the no-op model is asked.
    Zero,
}

impl Settings {
    /// What is to start frontend and model servers.
    pub fn manager(&self) -> ManagerSpec<'_> {
        ManagerSpec {
            model: self.model,
            with_noop: self.zero,
            engine: self.engine,
            model_path: self.model_path.as_deref(),
            on_gpus: !self.gpus.is_empty(),
            docker: self.docker.as_ref(),
        }
    }

    /// The cores that flags ask for.
    pub fn cores(&self) -> CoreRequest<'_> {
        CoreRequest {
            model: self.model_cpus.as_deref(),
            per_replica: &self.cpus_per_replica,
            frontend: self.frontend_cpus.as_deref(),
            clients: self.client_cpus.as_deref(),
            client_threads: self.num_clients,
        }
    }

    /// The latency objective that the frontend is told.
    pub fn told_objective(&self) -> Duration {
        match self.enforce_objective {
            true => self.objective.unwrap_or(UNENFORCED),
            false => UNENFORCED,
        }
    }
}

impl Mode {
    /// As on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Mode::Profile => "profile",
            Mode::Saturate => "saturate",
            Mode::Open(arrivals) => arrivals.name(),
            Mode::Flood(_) => "flood",
            Mode::SingleStream => "single-stream",
            Mode::Zero => "zero",
        }
    }
}

/// For the record of a sweep: the name, with the rate or the file of the trace if there is one.
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
            Mode::Profile | Mode::Saturate | Mode::SingleStream | Mode::Zero => {
                name.serialize(serializer)
            }
        }
    }
}

fn by_name<S: Serializer>(model: &KnownModel, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(model.name)
}

/// Seconds, for the record of a sweep.
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
    fn a_sweeps_record_names_the_mode_with_its_rate() {
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
