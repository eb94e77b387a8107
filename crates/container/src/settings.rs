//! Settings of a model server, from flags or from the environment variables of Clipper's
//! containers.

use std::{ffi::OsString, path::PathBuf, thread::available_parallelism};

use clap::{Args, CommandFactory, FromArgMatches, Parser};
use model::{DataType, Device};
use transport::curve::{KeyError, KeyPair, PublicKey};
use wire::rpc::Version;

use crate::{artifact::default_path, error::Error};

/// Constants of a model server, independent of its flags.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// The program's name, and the default of the model's name.
    pub name: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// One line about the model, for `--help`.
    pub about: &'static str,
    /// Default type of the inputs.
    pub input_type: DataType,
    /// File name of the artifact in the `artifacts` folder; `None` if the model needs none.
    pub artifact: Option<&'static str>,
}

/// Settings of a model server, read from flags and environment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Constants of the server.
    pub server: ServerSettings,
    /// The model's name at the frontend.
    pub model_name: String,
    /// The model's version.
    pub model_version: String,
    /// Path of the artifact; empty if the server needs none.
    pub model_path: PathBuf,
    /// ZeroMQ address of the frontend.
    pub frontend: String,
    /// ZeroMQ address for responses in the high-performance dialect; unused in all others.
    pub responses: String,
    /// Type of the inputs.
    pub input_type: DataType,
    /// Device that computes the model.
    pub device: Device,
    /// Share of the GPU's memory to use, above 0 and at most 1.
    pub gpu_mem_frac: f32,
    /// Threads that compute one batch.
    pub threads: usize,
    /// Version of the container RPC.
    pub rpc_version: Version,
    /// Largest number of batches in flight, announced to the frontend.
    pub batches_in_flight: u32,
    /// Keys for an encrypted connection; `None` for an unencrypted one.
    pub curve: Option<CurveKeys>,
    /// Exit when standard input ends.
    pub exit_with_stdin: bool,
    /// Check whether the model server with this process id is registered, instead of serving.
    pub healthcheck: Option<u32>,
}

/// Keys of an encrypted connection.
#[derive(Clone, Debug)]
pub struct CurveKeys {
    /// The model server's own key pair.
    pub keys: KeyPair,
    /// The frontend's public key.
    pub frontend: PublicKey,
}

const AFTER_HELP: &str = "\
A model server loads one model, registers it at a query frontend, and answers
the batches that the frontend sends. It opens no port of its own. Each process
is one replica of the model; start several for more throughput.

Exit status:
  0    stopped by SIGTERM or SIGINT, after answering all received batches
  1    cannot serve, or the frontend refused the model; standard error has the
       reason. Also if stopped with unanswered batches: after 5 s, or by a
       second signal
  2    invalid flags";

/// A model server: registers at a query frontend and answers its batches.
#[derive(Parser)]
#[command(rename_all = "snake_case", next_line_help = false, after_help = AFTER_HELP)]
struct ServerFlags<Own: Args> {
    /// Name of the model at the frontend [default: the program's name]
    #[arg(long, env = "CLIPPER_MODEL_NAME")]
    model_name: Option<String>,
    /// Version of the model at the frontend
    #[arg(long, env = "CLIPPER_MODEL_VERSION", default_value = "1")]
    model_version: String,
    /// Artifact: the file with the trained model [default: this model's file in the nearest
    /// `artifacts` folder above the program]
    #[arg(long, env = "CLIPPER_MODEL_PATH")]
    model_path: Option<PathBuf>,
    /// Host name or IP address of the query frontend
    #[arg(long, env = "CLIPPER_IP", default_value = "127.0.0.1")]
    ip: String,
    /// Frontend's port for model servers [default: 7000; 7010 with --rpc_version highperf]
    #[arg(long, env = "CLIPPER_PORT")]
    port: Option<u16>,
    /// Frontend's port for responses, used only with --rpc_version highperf
    #[arg(long, env = "CLIPPER_RECV_PORT", default_value_t = 7011)]
    recv_port: u16,
    /// Type of the inputs: bytes, ints, floats, doubles or strings [default: chosen by the model]
    #[arg(long, env = "CLIPPER_INPUT_TYPE")]
    input_type: Option<DataType>,
    /// Device that computes the model: cpu, or cuda:N for GPU number N
    #[arg(long, env = "CLIPPER_DEVICE", default_value_t = Device::Cpu)]
    device: Device,
    /// Share of the GPU's memory that the model may use, above 0 and at most 1
    #[arg(long, env = "CLIPPER_GPU_MEM_FRAC", default_value_t = 0.9)]
    gpu_mem_frac: f32,
    /// Threads that compute one batch [default: the number of CPUs available to the process]
    #[arg(long, env = "CLIPPER_THREADS")]
    threads: Option<usize>,
    /// Protocol between frontend and model server
    #[arg(long, env = "CLIPPER_RPC_VERSION", value_enum, default_value_t = RpcVersion::V4)]
    rpc_version: RpcVersion,
    /// Largest number of batches in flight; with 2, one waits here while the other is computed
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    batches_in_flight: u32,
    /// Key pair of this model server, for an encrypted connection to a frontend with --curve_key
    #[arg(
        long,
        env = "CLIPPER_CURVE_KEY",
        value_name = "NAME.key_secret",
        requires = "curve_frontend"
    )]
    curve_key: Option<PathBuf>,
    /// Public key of that frontend
    #[arg(
        long,
        env = "CLIPPER_CURVE_FRONTEND",
        value_name = "NAME.key",
        requires = "curve_key"
    )]
    curve_frontend: Option<PathBuf>,
    /// Exit when standard input ends, so that no server outlives the program that started it
    #[arg(long)]
    exit_with_stdin: bool,
    /// Do not serve: exit with status 0 if the model server with this process id is registered at
    /// its frontend, else with 1. Without an id, checks process 1, the first of a container
    #[arg(long, value_name = "PID", num_args = 0..=1, default_missing_value = "1")]
    healthcheck: Option<u32>,
    #[command(flatten)]
    own: Own,
}

/// Version of the container RPC, by its name on the command line.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RpcVersion {
    /// Clipper of 2017: typed outputs, no doubles
    #[value(name = "2017")]
    V2017,
    /// Clipper's high-performance branch: two ports, no heartbeats
    #[value(name = "highperf")]
    HighPerf,
    /// Clipper's final release: all outputs are text
    #[value(name = "3")]
    V3,
    /// This project's: typed outputs, errors, timestamps
    #[value(name = "4")]
    V4,
}

impl RpcVersion {
    fn version(self) -> Version {
        match self {
            RpcVersion::V2017 => Version::V2017,
            RpcVersion::HighPerf => Version::HighPerf,
            RpcVersion::V3 => Version::V3,
            RpcVersion::V4 => Version::V4,
        }
    }
}

impl Settings {
    /// Reads the common settings and the server's `Own` from `args` (the first is the program's
    /// name) and the environment. Exits with a message if the command line cannot be parsed.
    ///
    /// # Errors
    /// If a value is out of range or a key file cannot be read.
    pub fn from_args<Own: Args>(
        server: &ServerSettings,
        args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<(Settings, Own), Error> {
        let command = ServerFlags::<Own>::command()
            .name(server.name)
            .version(server.version)
            .about(server.about);
        let flags = ServerFlags::<Own>::from_arg_matches(&command.get_matches_from(args))?;
        let share = flags.gpu_mem_frac;
        require(share > 0.0 && share <= 1.0, || {
            format!("invalid --gpu_mem_frac {share}: use a number above 0 and at most 1")
        })?;
        require(flags.threads != Some(0), || {
            "invalid --threads 0: use 1 or more".to_owned()
        })?;
        let cpus = available_parallelism();
        let cpus = cpus.map_err(Error::system("cannot determine the number of CPUs"))?;
        let rpc_version = flags.rpc_version.version();
        let port = match rpc_version {
            Version::HighPerf => 7010,
            Version::V2017 | Version::V3 | Version::V4 => 7000,
        };
        let curve = match (&flags.curve_key, &flags.curve_frontend) {
            (Some(keys), Some(frontend)) => Some(CurveKeys {
                keys: KeyPair::read(keys).map_err(invalid_key("--curve_key"))?,
                frontend: PublicKey::read(frontend).map_err(invalid_key("--curve_frontend"))?,
            }),
            _ => None,
        };
        let artifact = || server.artifact.map(default_path).unwrap_or_default();
        let settings = Settings {
            server: *server,
            model_name: flags.model_name.unwrap_or_else(|| server.name.to_owned()),
            model_version: flags.model_version,
            model_path: flags.model_path.unwrap_or_else(artifact),
            frontend: format!("tcp://{}:{}", flags.ip, flags.port.unwrap_or(port)),
            responses: format!("tcp://{}:{}", flags.ip, flags.recv_port),
            input_type: flags.input_type.unwrap_or(server.input_type),
            device: flags.device,
            gpu_mem_frac: flags.gpu_mem_frac,
            threads: flags.threads.unwrap_or(cpus.get()),
            rpc_version,
            batches_in_flight: flags.batches_in_flight,
            curve,
            exit_with_stdin: flags.exit_with_stdin,
            healthcheck: flags.healthcheck,
        };
        Ok((settings, flags.own))
    }

    /// Rejects settings that a CPU model for floats or doubles does not support.
    ///
    /// # Errors
    /// If the settings have another input type or a GPU.
    pub fn require_numbers_on_cpu(&self) -> Result<(), Error> {
        let name = self.server.name;
        let is_numbers = matches!(self.input_type, DataType::Floats | DataType::Doubles);
        require(is_numbers, || {
            let input_type = self.input_type;
            format!(
                "{name} takes floats or doubles, not {input_type}: omit --input_type (CLIPPER_INPUT_TYPE)"
            )
        })?;
        require(self.device == Device::Cpu, || {
            let device = self.device;
            format!("{name} computes on the CPU, not on {device}: omit --device")
        })
    }

    /// Warns that the model needs inputs more precise than float32; `loss` says what is lost.
    pub fn warn_about_float32(&self, loss: &str) {
        tracing::warn!(
            "{}: {loss}; float inputs lose precision: serve the model with CLIPPER_INPUT_TYPE=doubles \
             (--input_type doubles)",
            self.model_path.display()
        );
    }

    /// Describes the server in one line, for the log.
    pub(crate) fn describe(&self) -> String {
        let artifact = match self.server.artifact {
            Some(_) => format!(" from {}", self.model_path.display()),
            None => String::new(),
        };
        format!(
            "{}:{} ({}, {} inputs, {}, {} threads){artifact}",
            self.model_name,
            self.model_version,
            self.server.name,
            self.input_type,
            self.device,
            self.threads,
        )
    }
}

/// Returns an error with the text of `why` unless the condition holds.
fn require(holds: bool, why: impl FnOnce() -> String) -> Result<(), Error> {
    match holds {
        true => Ok(()),
        false => Err(Error::Flag(why())),
    }
}

fn invalid_key(flag: &'static str) -> impl FnOnce(KeyError) -> Error {
    move |source| Error::Key { flag, source }
}
