//! The flags of a sweep, by their headings, as typed.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use deploy::models::{self, KnownModel};
use host::cores::Cores;

use super::values::{cores, gpus, millis, number, numbers, rate, seconds, share, shares};

/// Everything that a sweep can be told.
#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(flatten, next_help_heading = "Model")]
    pub(super) model: ModelFlags,
    #[command(
        flatten,
        next_help_heading = "Sweep (lists: several values after one flag, by spaces or commas)"
    )]
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
    /// The model to measure: vgg, inception, svm, lgbm or noop
    #[arg(short, long = "model_name", value_name = "MODEL", value_parser = models::find)]
    pub(super) model_name: Option<&'static KnownModel>,
    /// The artifact [default: the model server's own]
    #[arg(
        long = "model_path",
        env = "CLIPPER_MODEL_PATH",
        value_name = "PATH",
        hide_short_help = true
    )]
    pub(super) model_path: Option<PathBuf>,
    /// What computes the networks of vgg and inception: ort (ONNX Runtime) or tch (libtorch, after `make tch`)
    /// [default: ort]
    // As text: which ones there are depends on the model.
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
    /// Seconds under load at each point, all of its phases and warm-ups included
    #[arg(
        short,
        long = "duration_seconds",
        visible_alias = "duration",
        value_name = "SECONDS",
        default_value = "120",
        value_parser = seconds
    )]
    pub(super) duration: Duration,
    /// Maximum batch sizes
    #[arg(
        short,
        long = "batch_sizes",
        value_name = "N",
        num_args = 1..,
        default_value = "2",
        value_parser = numbers
    )]
    pub(super) batch_sizes: Vec<Vec<usize>>,
    /// Numbers of replicas
    #[arg(
        short = 'r',
        long = "num_replicas",
        value_name = "N",
        num_args = 1..,
        default_value = "1",
        value_parser = numbers
    )]
    pub(super) num_replicas: Vec<Vec<usize>>,
    /// How often each point is measured: in rounds over all points, so that drift spreads
    #[arg(long, value_name = "N", default_value = "1", value_parser = number)]
    pub(super) repeats: usize,
    /// End a phase early once the 95 % interval of its figure is narrower than plus or minus this share (0.02: 2 %)
    #[arg(long, value_name = "SHARE", hide_short_help = true, value_parser = share)]
    pub(super) until: Option<f64>,
    /// Leave out the no-op model, which says for each shape what frontend and protocol cost
    #[arg(long = "no_zero", hide_short_help = true)]
    pub(super) no_zero: bool,
    /// Print the plan with its time, and start nothing
    #[arg(long = "dry_run")]
    pub(super) dry_run: bool,
    /// Continue the sweep in this folder: with the flags that it was begun with, but only the points that have no
    /// result yet
    #[arg(long, value_name = "DIR")]
    pub(super) resume: Option<PathBuf>,
    /// A TOML file with flags, by their long names; a flag on the command line wins
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CoreFlags {
    /// Cores for the replicas, each to one replica: `20 21`, `20-23`, `20,21`; frontend and driver go to the others.
    /// Without this flag and the next one, everything shares all cores
    #[arg(
        short = 'c',
        long = "model_cpus",
        value_name = "CORES",
        num_args = 1..,
        value_parser = cores
    )]
    pub(super) model_cpus: Option<Vec<Cores>>,
    /// Numbers of cores for each replica, out of --model_cpus or of all [default with --model_cpus: an even share]
    #[arg(
        short = 'p',
        long = "cpus_per_replica_nums",
        value_name = "N",
        num_args = 1..,
        value_parser = numbers
    )]
    pub(super) cpus_per_replica_nums: Option<Vec<Vec<usize>>>,
    /// Cores for the frontend [default: of those that no replica gets]
    #[arg(
        long = "frontend_cpus",
        value_name = "CORES",
        num_args = 1..,
        hide_short_help = true,
        value_parser = cores
    )]
    pub(super) frontend_cpus: Option<Vec<Cores>>,
    /// Cores for the driver [default: of those that no replica gets]
    #[arg(
        long = "client_cpus",
        value_name = "CORES",
        num_args = 1..,
        hide_short_help = true,
        value_parser = cores
    )]
    pub(super) client_cpus: Option<Vec<Cores>>,
    /// GPUs for the replicas, by number, each to one replica (vgg, inception)
    #[arg(
        short = 'g',
        long = "model_gpus",
        value_name = "GPU",
        num_args = 1..,
        value_parser = gpus
    )]
    pub(super) model_gpus: Option<Vec<Vec<u32>>>,
    /// Let replicas beyond the GPUs compute on CPU cores; without it more replicas than GPUs are an error
    #[arg(
        long = "cpu_beyond_gpus",
        requires = "model_gpus",
        hide_short_help = true
    )]
    pub(super) cpu_beyond_gpus: bool,
    /// Share of its GPU's memory that a replica may take, above 0 and at most 1
    // As text: clap reads the environment for subcommands too, which do not fail for a share that they have no use for.
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
    /// What starts frontend and replicas: process (of this machine) or docker (containers, from the images that
    /// docker/build_docker_images.sh makes)
    #[arg(
        long,
        value_name = "MANAGER",
        value_enum,
        default_value = "process",
        hide_possible_values = true
    )]
    pub(super) manager: ManagerName,
    /// The model server's image [default: model-comp/MODEL, with --model_gpus model-comp/MODEL:latest-cuda]
    #[arg(long, value_name = "IMAGE", hide_short_help = true)]
    pub(super) image: Option<String>,
    /// The frontend's image [default: clipper/zmq_frontend]
    #[arg(long = "frontend_image", value_name = "IMAGE", hide_short_help = true)]
    pub(super) frontend_image: Option<String>,
    /// MiB of memory that a replica's container may take
    #[arg(
        long = "replica_memory_mib",
        value_name = "MIB",
        hide_short_help = true,
        value_parser = number
    )]
    pub(super) replica_memory_mib: Option<usize>,
}

/// What starts frontend and replicas.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ManagerName {
    Process,
    Docker,
}

#[derive(Debug, Args)]
pub(super) struct LoadFlags {
    /// How queries are sent: profile (throughput, then latency at shares of it), saturate (throughput only),
    /// single-stream (one in flight), poisson or constant (with --rate), trace (with --trace), flood (as the original
    /// driver: evenly spaced, whatever the server does)
    #[arg(
        long,
        value_name = "MODE",
        value_enum,
        default_value = "profile",
        hide_possible_values = true
    )]
    pub(super) mode: ModeName,
    /// Queries a second of the modes poisson, constant and flood [default of flood: 200, as the original's 5 ms]. If it
    /// is more than is served, the load ends soon after its duration and the point is INVALID: overloaded
    #[arg(long, value_name = "QPS", hide_short_help = true, value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// Arrival times of the mode trace: seconds, one per line, ascending; they count from the first one, so that
    /// seconds since 1970 will do, and --duration_seconds cuts a longer trace
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub(super) trace: Option<PathBuf>,
    /// Shares of the throughput at which the profile measures latency
    #[arg(
        long = "load_shares",
        value_name = "SHARE",
        num_args = 1..,
        default_values = ["0.5", "0.8"],
        hide_short_help = true,
        value_parser = shares
    )]
    pub(super) load_shares: Vec<Vec<f64>>,
    /// Latency objective in milliseconds: the profile finds the highest rate whose p99 meets it, and results count
    /// goodput
    #[arg(long = "slo_ms", value_name = "MS", value_parser = millis)]
    pub(super) slo_ms: Option<Duration>,
    /// Tell the frontend of the objective: it answers queries that miss it with the default output
    #[arg(long = "enforce_slo", requires = "slo_ms", hide_short_help = true)]
    pub(super) enforce_slo: bool,
    /// Recommend a configuration for this many queries a second, within the objective if there is one
    #[arg(long = "target_qps", value_name = "QPS", hide_short_help = true, value_parser = rate)]
    pub(super) target_qps: Option<f64>,
    /// Client threads
    #[arg(
        short = 'n',
        long = "num_clients",
        value_name = "N",
        default_value = "1",
        hide_short_help = true,
        value_parser = number
    )]
    pub(super) num_clients: usize,
    /// Queries in flight in a closed loop, over all clients [default: 3 x batch size x replicas, so that batches fill]
    #[arg(long = "in_flight", value_name = "N", hide_short_help = true, value_parser = number)]
    pub(super) in_flight: Option<usize>,
}

/// How queries are sent.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ModeName {
    Profile,
    Saturate,
    #[value(alias = "single_stream")]
    SingleStream,
    Poisson,
    Constant,
    Trace,
    Flood,
}

#[derive(Debug, Args)]
pub(super) struct InputFlags {
    /// Real inputs: a folder of JPEG and PNG files (vgg, inception) or an .npy file of float32, float64 or integer rows
    /// (svm, lgbm)
    /// [default: seeded random ones; with --accuracy, artifacts/MODEL.npy]
    #[arg(long = "input_dir", value_name = "PATH")]
    pub(super) input_dir: Option<PathBuf>,
    /// What inputs are sent as: floats or strings (vgg, inception), floats or doubles (svm, lgbm), any type (noop).
    /// Doubles are for features that float32 cannot hold, such as times and ids [default: strings for inception, floats
    /// for the others]
    // As text: which ones there are depends on the model.
    #[arg(
        long = "input_type",
        env = "CLIPPER_INPUT_TYPE",
        value_name = "TYPE",
        hide_short_help = true
    )]
    pub(super) input_type: Option<String>,
    /// Accuracy run (svm, lgbm): sends every labelled input once, counts the right answers and compares them with the
    /// artifact's offline evaluation; measures no speed
    #[arg(long, conflicts_with = "duration")]
    pub(super) accuracy: bool,
    /// The inputs' labels, one per line [default: NAME.labels.txt beside the inputs NAME.npy]
    #[arg(
        long,
        value_name = "FILE",
        requires = "accuracy",
        hide_short_help = true
    )]
    pub(super) labels: Option<PathBuf>,
    /// Seed of random inputs, of arrivals and of the order of points
    #[arg(long, value_name = "N", default_value_t = 1, hide_short_help = true)]
    pub(super) seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct OutputFlags {
    /// Each sweep makes a folder of its own in this one [default: results/ at the root of the workspace, else here]
    #[arg(long = "results_dir", value_name = "DIR")]
    pub(super) results_dir: Option<PathBuf>,
    /// Plain lines instead of the live view, as when the output is not a terminal
    #[arg(long, hide_short_help = true)]
    pub(super) plain: bool,
}
