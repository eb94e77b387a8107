//! What a model server is told: flags, or the environment variables that Clipper's containers use.

use std::{ffi::OsString, path::PathBuf, thread::available_parallelism};

use clap::{Args, CommandFactory, FromArgMatches, Parser};
use model::{DataType, Device};
use transport::curve::{KeyError, KeyPair, PublicKey};
use wire::rpc::Version;

use crate::{artifact::default_path, error::Error};

/// What a model server is, whatever it is told.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// The program's name, which is the model's unless another is given.
    pub name: &'static str,
    /// The program's version.
    pub version: &'static str,
    /// What it does, for `--help`.
    pub about: &'static str,
    /// The input type unless another is given.
    pub input_type: DataType,
    /// Its artifact's file name in the `artifacts` folder; `None` if it needs none.
    pub artifact: Option<&'static str>,
}

/// What a model server is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server that was told.
    pub server: Server,
    /// The model's name at the frontend.
    pub model_name: String,
    /// The model's version.
    pub model_version: String,
    /// The artifact; empty if the server needs none.
    pub model_path: PathBuf,
    /// The frontend's ZeroMQ address.
    pub frontend: String,
    /// Where it awaits responses in the high-performance dialect; unused in all others.
    pub responses: String,
    /// The type of the inputs.
    pub input_type: DataType,
    /// Where to compute.
    pub device: Device,
    /// The share of the GPU's memory to take, 0 to 1.
    pub gpu_mem_frac: f32,
    /// Threads for one batch.
    pub threads: usize,
    /// How it registers.
    pub rpc_version: Version,
    /// Batches that it wants in flight.
    pub batches_in_flight: u32,
    /// Keys, if the connection is to be encrypted.
    pub curve: Option<Curve>,
    /// End when standard input ends.
    pub exit_with_stdin: bool,
    /// Serve nothing, but tell whether the model server with this process id is registered.
    pub healthcheck: Option<u32>,
}

/// Whom a model server is, and whom it trusts.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its own keys.
    pub keys: KeyPair,
    /// The frontend's public one.
    pub frontend: PublicKey,
}

const EXIT: &str = "\
Exit status:
  0    stopped by SIGTERM or SIGINT: the batches that were here are finished
  1    cannot serve, or the frontend refuses it: one line on standard error; or told to stop, and a batch is not finished
       within 5 s, or a second signal has ended it at once
  2    a flag that makes no sense";

/// A model server: registers at a query frontend and answers its batches.
#[derive(Parser)]
#[command(rename_all = "snake_case", next_line_help = false, after_help = EXIT)]
struct Flags<Own: Args> {
    /// The model's name at the frontend [default: the program's name]
    #[arg(long, env = "CLIPPER_MODEL_NAME")]
    model_name: Option<String>,
    /// The model's version
    #[arg(long, env = "CLIPPER_MODEL_VERSION", default_value = "1")]
    model_version: String,
    /// The artifact to serve [default: artifacts/... above the program]
    #[arg(long, env = "CLIPPER_MODEL_PATH")]
    model_path: Option<PathBuf>,
    /// Host name or address of the query frontend
    #[arg(long, env = "CLIPPER_IP", default_value = "127.0.0.1")]
    ip: String,
    /// Port on which the frontend awaits model servers [default: 7000, with --rpc_version highperf 7010]
    #[arg(long, env = "CLIPPER_PORT")]
    port: Option<u16>,
    /// Port on which it awaits their responses; only with --rpc_version highperf
    #[arg(long, env = "CLIPPER_RECV_PORT", default_value_t = 7011)]
    recv_port: u16,
    /// bytes, ints, floats, doubles or strings [default: the model's own]
    #[arg(long, env = "CLIPPER_INPUT_TYPE")]
    input_type: Option<DataType>,
    /// cpu, or cuda:N for GPU number N
    #[arg(long, env = "CLIPPER_DEVICE", default_value_t = Device::Cpu)]
    device: Device,
    /// Share of the GPU's memory that the model may take
    #[arg(long, env = "CLIPPER_GPU_MEM_FRAC", default_value_t = 0.9)]
    gpu_mem_frac: f32,
    /// Threads for one batch [default: the CPUs that the process may use]
    #[arg(long, env = "CLIPPER_THREADS")]
    threads: Option<usize>,
    /// Container RPC
    #[arg(long, env = "CLIPPER_RPC_VERSION", value_enum, default_value_t = RpcVersion::V4)]
    rpc_version: RpcVersion,
    /// Batches to have in flight: 2 is one computing and one waiting
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    batches_in_flight: u32,
    /// This model server's own keys, for a frontend with --curve_key
    #[arg(
        long,
        env = "CLIPPER_CURVE_KEY",
        value_name = "NAME.key_secret",
        requires = "curve_frontend"
    )]
    curve_key: Option<PathBuf>,
    /// That frontend's public key
    #[arg(
        long,
        env = "CLIPPER_CURVE_FRONTEND",
        value_name = "NAME.key",
        requires = "curve_key"
    )]
    curve_frontend: Option<PathBuf>,
    /// End when standard input ends: for whoever starts servers and must leave none behind
    #[arg(long)]
    exit_with_stdin: bool,
    /// Serve nothing, but exit with status 0 if the model server with this process id is registered at its frontend, with 1 if
    /// not; without an id, the first process of a container
    #[arg(long, value_name = "PID", num_args = 0..=1, default_missing_value = "1")]
    healthcheck: Option<u32>,
    #[command(flatten)]
    own: Own,
}

/// A dialect of the container RPC, by the name of its flag.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RpcVersion {
    /// Clipper's of 2017: typed outputs, no doubles
    #[value(name = "2017")]
    V2017,
    /// Clipper's high-performance branch: two ports, no heartbeats
    #[value(name = "highperf")]
    HighPerf,
    /// Clipper's final release: outputs are text
    #[value(name = "3")]
    V3,
    /// Typed outputs, errors, times
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
    /// Reads flags (the first argument is the program's name) and environment, those of every model server and its `Own`;
    /// ends the process, with a message, if they cannot be read.
    ///
    /// # Errors
    /// If a value is out of range.
    pub fn from_args<Own: Args>(
        server: &Server,
        args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<(Settings, Own), Error> {
        let command = Flags::<Own>::command()
            .name(server.name)
            .version(server.version)
            .about(server.about);
        let flags = Flags::<Own>::from_arg_matches(&command.get_matches_from(args))?;
        let share = flags.gpu_mem_frac;
        require(share > 0.0 && share <= 1.0, || {
            format!("--gpu_mem_frac {share} is no share: give more than 0 and at most 1")
        })?;
        require(flags.threads != Some(0), || {
            "--threads 0 computes nothing: give 1 or more".to_owned()
        })?;
        let cpus = available_parallelism();
        let cpus = cpus.map_err(Error::system("cannot tell how many CPUs there are"))?;
        let rpc_version = flags.rpc_version.version();
        let port = match rpc_version {
            Version::HighPerf => 7010,
            Version::V2017 | Version::V3 | Version::V4 => 7000,
        };
        let curve = match (&flags.curve_key, &flags.curve_frontend) {
            (Some(keys), Some(frontend)) => Some(Curve {
                keys: KeyPair::read(keys).map_err(no_key("--curve_key"))?,
                frontend: PublicKey::read(frontend).map_err(no_key("--curve_frontend"))?,
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

    /// For a model that takes floats or doubles and knows no GPU: refuses anything else.
    ///
    /// # Errors
    /// If another input type or a GPU is asked for.
    pub fn require_numbers_on_cpu(&self) -> Result<(), Error> {
        let name = self.server.name;
        let is_numbers = matches!(self.input_type, DataType::Floats | DataType::Doubles);
        require(is_numbers, || {
            let input_type = self.input_type;
            format!(
                "{name} takes floats or doubles, not {input_type}: leave out --input_type (CLIPPER_INPUT_TYPE)"
            )
        })?;
        require(self.device == Device::Cpu, || {
            let device = self.device;
            format!("{name} computes on the CPU, not on {device}: leave out --device")
        })
    }

    /// Logs that the model's inputs need more digits than floats have, and what to do.
    pub fn warn_of_float32(&self, loss: &str) {
        tracing::warn!(
            "{}: {loss}; floats are rounded before the model sees them: serve it with CLIPPER_INPUT_TYPE=doubles \
             (--input_type doubles)",
            self.model_path.display()
        );
    }

    /// One line for the log.
    pub(crate) fn describe(&self) -> String {
        let of = match self.server.artifact {
            Some(_) => format!(" from {}", self.model_path.display()),
            None => String::new(),
        };
        format!(
            "{}:{} ({} of {}, {}, {} threads){of}",
            self.model_name,
            self.model_version,
            self.server.name,
            self.input_type,
            self.device,
            self.threads,
        )
    }
}

/// An error that says why, unless the condition holds.
fn require(holds: bool, why: impl FnOnce() -> String) -> Result<(), Error> {
    match holds {
        true => Ok(()),
        false => Err(Error::Flag(why())),
    }
}

fn no_key(flag: &'static str) -> impl FnOnce(KeyError) -> Error {
    move |source| Error::Key { flag, source }
}
