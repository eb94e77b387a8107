//! The flags of a sweep, grouped by the headings of `--help`.
//!
//! The first paragraph of each documentation comment is the text of `-h`, all of it the text of `--help`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use deploy::models::{self, KnownModel};
use host::cores::Cores;

use super::values::{cores, gpus, millis, number, numbers, rate, seconds, share, shares};

/// All flags of a sweep.
#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(flatten, next_help_heading = "Model")]
    pub(super) model: ModelFlags,
    #[command(flatten, next_help_heading = "Sweep")]
    pub(super) sweep: SweepFlags,
    #[command(flatten, next_help_heading = "Cores and GPUs")]
    pub(super) cores: CoreFlags,
    #[command(flatten, next_help_heading = "Docker")]
    pub(super) docker: DockerFlags,
    #[command(flatten, next_help_heading = "Load")]
    pub(super) load: LoadFlags,
    #[command(flatten, next_help_heading = "Inputs")]
    pub(super) inputs: InputFlags,
    #[command(flatten, next_help_heading = "Output")]
    pub(super) output: OutputFlags,
}

#[derive(Debug, Args)]
pub(super) struct ModelFlags {
    /// Model to measure: vgg, inception, svm, lgbm or noop (required)
    #[arg(short, long = "model_name", value_name = "MODEL", value_parser = models::find)]
    pub(super) model_name: Option<&'static KnownModel>,
    /// Artifact that the replicas load [default: the model server's own]
    #[arg(
        long = "model_path",
        env = "CLIPPER_MODEL_PATH",
        value_name = "PATH",
        hide_short_help = true
    )]
    pub(super) model_path: Option<PathBuf>,
    /// Inference engine of vgg and inception: ort (ONNX Runtime) or tch (libtorch, built by `make tch`) [default:
    /// ort]
    // A `String`, because the possible values depend on the model.
    #[arg(
        long,
        env = "CLIPPER_ENGINE",
        value_name = "ENGINE",
        hide_short_help = true
    )]
    pub(super) engine: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct SweepFlags {
    /// Time under load at each point, in seconds, over all phases and warm-ups
    #[arg(
        short,
        long = "duration_seconds",
        visible_alias = "duration",
        value_name = "SECONDS",
        default_value = "120",
        value_parser = seconds
    )]
    pub(super) duration: Duration,
    /// Maximum batch sizes to try, in queries
    #[arg(
        short,
        long = "batch_sizes",
        value_name = "N",
        num_args = 1..,
        default_value = "2",
        value_parser = numbers
    )]
    pub(super) batch_sizes: Vec<Vec<usize>>,
    /// Numbers of replicas to try
    #[arg(
        short = 'r',
        long = "num_replicas",
        value_name = "N",
        num_args = 1..,
        default_value = "1",
        value_parser = numbers
    )]
    pub(super) num_replicas: Vec<Vec<usize>>,
    /// Number of rounds; each round measures every point once, in a random order
    #[arg(long, value_name = "N", default_value = "1", value_parser = number)]
    pub(super) repeats: usize,
    /// End a phase early once its result is known to within this share: 0.02 means +/- 2 % [default: never]
    ///
    /// The 95 % confidence interval decides: of the throughput, or of the p99 in a latency phase.
    #[arg(long, value_name = "SHARE", hide_short_help = true, value_parser = share)]
    pub(super) until: Option<f64>,
    /// Skip the baseline: the no-op model, measured at each point to show the cost of frontend and protocol
    #[arg(long = "no_baseline", alias = "no_zero", hide_short_help = true)]
    pub(super) no_baseline: bool,
    /// Print the plan and its estimated duration, and start nothing
    #[arg(long = "dry_run")]
    pub(super) dry_run: bool,
    /// Continue the sweep in this folder, with the flags that it was started with
    ///
    /// Only points without a result are measured.
    #[arg(long, value_name = "DIR")]
    pub(super) resume: Option<PathBuf>,
    /// TOML file with flags by their long names; flags on the command line take precedence
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CoreFlags {
    /// Cores for the replicas, such as 20-23 or 20,21; no two replicas share a core [default: all processes share all
    /// cores]
    ///
    /// Frontend and driver run on the other cores.
    #[arg(
        short = 'c',
        long = "model_cpus",
        value_name = "CORES",
        num_args = 1..,
        value_parser = cores
    )]
    pub(super) model_cpus: Option<Vec<Cores>>,
    /// Numbers of cores per replica to try [default: an even share of --model_cpus]
    ///
    /// Without --model_cpus the cores are chosen among all available cores.
    #[arg(
        short = 'p',
        long = "cpus_per_replica_nums",
        value_name = "N",
        num_args = 1..,
        value_parser = numbers
    )]
    pub(super) cpus_per_replica_nums: Option<Vec<Vec<usize>>>,
    /// Cores for the frontend [default: a part of the cores that no replica uses]
    #[arg(
        long = "frontend_cpus",
        value_name = "CORES",
        num_args = 1..,
        hide_short_help = true,
        value_parser = cores
    )]
    pub(super) frontend_cpus: Option<Vec<Cores>>,
    /// Cores for the driver [default: a part of the cores that no replica uses]
    #[arg(
        long = "client_cpus",
        value_name = "CORES",
        num_args = 1..,
        hide_short_help = true,
        value_parser = cores
    )]
    pub(super) client_cpus: Option<Vec<Cores>>,
    /// GPUs for the replicas of vgg and inception, by number; no two replicas share a GPU [default: none]
    #[arg(
        short = 'g',
        long = "model_gpus",
        value_name = "GPU",
        num_args = 1..,
        value_parser = gpus
    )]
    pub(super) model_gpus: Option<Vec<Vec<u32>>>,
    /// If a point has more replicas than GPUs, run the rest on CPU cores [default: the point is NOT RUN]
    #[arg(
        long = "cpu_beyond_gpus",
        requires = "model_gpus",
        hide_short_help = true
    )]
    pub(super) cpu_beyond_gpus: bool,
    /// Share of its GPU's memory that a replica may use, above 0 and at most 1
    // A `String`, because clap reads the environment for subcommands too, which ignore the value.
    #[arg(
        long = "gpu_mem_frac",
        env = "CLIPPER_GPU_MEM_FRAC",
        value_name = "SHARE",
        default_value = "0.9",
        hide_short_help = true
    )]
    pub(super) gpu_mem_frac: String,
}

#[derive(Debug, Args)]
pub(super) struct DockerFlags {
    /// Run frontend and replicas as processes or as Docker containers
    #[arg(long, value_name = "MANAGER", value_enum, default_value = "process")]
    pub(super) manager: ManagerName,
    /// Image of the model server [default: model-comp/MODEL; with --model_gpus, model-comp/MODEL:latest-cuda]
    #[arg(long, value_name = "IMAGE", hide_short_help = true)]
    pub(super) image: Option<String>,
    /// Image of the frontend [default: clipper/zmq_frontend]
    #[arg(long = "frontend_image", value_name = "IMAGE", hide_short_help = true)]
    pub(super) frontend_image: Option<String>,
    /// Memory limit of each replica's container, in MiB [default: none]
    #[arg(
        long = "replica_memory_mib",
        value_name = "MIB",
        hide_short_help = true,
        value_parser = number
    )]
    pub(super) replica_memory_mib: Option<usize>,
}

/// Possible values of `--manager`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ManagerName {
    /// Processes on this machine
    Process,
    /// Containers of the images that docker/build_docker_images.sh builds
    Docker,
}

#[derive(Debug, Args)]
pub(super) struct LoadFlags {
    /// Quantities to measure at each point, and arrival process of the queries
    #[arg(long, value_name = "MODE", value_enum, default_value = "profile")]
    pub(super) mode: ModeName,
    /// Offered load in queries per second; required by the modes poisson and constant [default of the mode flood:
    /// 200]
    ///
    /// Above the server's capacity the load ends soon after its duration, and the point is INVALID: overloaded.
    #[arg(long, value_name = "QPS", hide_short_help = true, value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// File with the arrival times of the mode trace: one per line, in seconds, ascending
    ///
    /// The first arrival is at time zero, so Unix timestamps can be used. --duration_seconds cuts a longer trace.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(super) trace: Option<PathBuf>,
    /// Offered loads of the latency phases of the mode profile, as shares of the measured throughput
    #[arg(
        long = "load_shares",
        value_name = "SHARE",
        num_args = 1..,
        default_values = ["0.5", "0.8"],
        hide_short_help = true,
        value_parser = shares
    )]
    pub(super) load_shares: Vec<Vec<f64>>,
    /// Latency objective (SLO), in milliseconds [default: none]
    ///
    /// The mode profile then searches for the highest rate whose p99 meets it. Results state the goodput: answers
    /// within the objective, per second.
    #[arg(long = "slo_ms", value_name = "MS", value_parser = millis)]
    pub(super) slo_ms: Option<Duration>,
    /// Pass --slo_ms to the frontend, which answers late queries with the default output
    #[arg(long = "enforce_slo", requires = "slo_ms", hide_short_help = true)]
    pub(super) enforce_slo: bool,
    /// Recommend a configuration for this offered load, in queries per second, within --slo_ms if given
    #[arg(long = "target_qps", value_name = "QPS", hide_short_help = true, value_parser = rate)]
    pub(super) target_qps: Option<f64>,
    /// Number of client threads that send queries
    #[arg(
        short = 'n',
        long = "num_clients",
        value_name = "N",
        default_value = "1",
        hide_short_help = true,
        value_parser = number
    )]
    pub(super) num_clients: usize,
    /// Queries in flight in a closed loop, over all client threads [default: 3 x batch size x replicas]
    #[arg(long = "in_flight", value_name = "N", hide_short_help = true, value_parser = number)]
    pub(super) in_flight: Option<usize>,
}

/// Possible values of `--mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ModeName {
    /// Throughput in a closed loop, then latency under Poisson arrivals at --load_shares of that throughput. With
    /// --slo_ms, a search for the highest rate within the objective replaces the shares
    Profile,
    /// Throughput in a closed loop
    Saturate,
    /// Latency with one query in flight
    #[value(alias = "single_stream")]
    SingleStream,
    /// Latency under Poisson arrivals at --rate
    Poisson,
    /// Latency under evenly spaced arrivals at --rate
    Constant,
    /// Latency under the arrival times in --trace
    Trace,
    /// Evenly spaced arrivals at --rate without a warm-up, as in the original driver
    Flood,
}

#[derive(Debug, Args)]
pub(super) struct InputFlags {
    /// Inputs to send: a folder of JPEG and PNG files (vgg, inception) or an .npy file of rows (svm, lgbm) [default:
    /// random inputs; with --accuracy, artifacts/MODEL.npy]
    ///
    /// An .npy file holds float32, float64 or integers.
    #[arg(long = "input_dir", value_name = "PATH")]
    pub(super) input_dir: Option<PathBuf>,
    /// Data type of the inputs: floats or strings (vgg, inception), floats or doubles (svm, lgbm), any (noop)
    /// [default: strings for inception, floats for the others]
    ///
    /// Features that float32 cannot hold, such as timestamps and ids, need doubles.
    // A `String`, because the possible values depend on the model.
    #[arg(
        long = "input_type",
        env = "CLIPPER_INPUT_TYPE",
        value_name = "TYPE",
        hide_short_help = true
    )]
    pub(super) input_type: Option<String>,
    /// Measure accuracy instead of speed (svm, lgbm): send every labelled input once
    ///
    /// The number of correct answers is compared with the artifact's offline evaluation.
    #[arg(long, conflicts_with = "duration")]
    pub(super) accuracy: bool,
    /// File with the labels of the inputs, one per line [default: NAME.labels.txt beside the inputs NAME.npy]
    #[arg(
        long,
        value_name = "FILE",
        requires = "accuracy",
        hide_short_help = true
    )]
    pub(super) labels: Option<PathBuf>,
    /// Seed of random inputs, arrival times and the order of points
    #[arg(long, value_name = "N", default_value_t = 1, hide_short_help = true)]
    pub(super) seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct OutputFlags {
    /// Folder that holds one folder for each sweep [default: results/ at the root of the workspace, else in the
    /// current folder]
    #[arg(long = "results_dir", value_name = "DIR")]
    pub(super) results_dir: Option<PathBuf>,
    /// Print plain lines instead of the live view, as if the output were not a terminal
    #[arg(long, hide_short_help = true)]
    pub(super) plain: bool,
}
