//! The command line: what to do, as typed, checked and turned into [`Command`].

mod config;
mod flags;
mod given;
mod pages;
mod together;
mod values;

pub use pages::{completions, man};

use std::{
    env,
    ffi::OsString,
    fs, iter,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use deploy::models;
use host::machine::workspace;

use crate::{
    Error,
    settings::{Mode, Settings},
    sweep::Record,
};
use flags::Flags;
use given::Given;
use together::{in_docker, input_files, mode};
use values::{core_list, gpu_list, number, numbers, rate, share, shares, time, utf8};

/// What to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Measure: what the driver does without a subcommand.
    Sweep(Box<Settings>),
    /// One of the others.
    Other(Other),
}

/// Measures a model behind the query frontend: deploys it, loads it, and writes one result file per point.
///
/// Every combination of --num_replicas, --cpus_per_replica_nums and --batch_sizes is one point.
#[derive(Debug, Parser)]
#[command(
    name = "driver",
    version,
    max_term_width = 110,
    after_help = pages::FIRST_STEPS,
    after_long_help = pages::SWEEPS,
    args_conflicts_with_subcommands = true
)]
struct Line {
    #[command(flatten)]
    sweep: Flags,
    #[command(subcommand)]
    other: Option<Other>,
}

/// What the driver does besides measuring.
#[derive(Clone, Debug, Subcommand)]
pub enum Other {
    /// Measure all models briefly, each for as long as it needs within a limit of time: what `make run` does
    #[command(after_help = pages::SURVEY)]
    Survey(Survey),
    /// Measure the load generator itself: how many queries a second it can send to a server that only answers
    #[command(after_help = pages::SELF_TEST)]
    SelfTest(SelfTest),
    /// Write the report of a sweep anew: report.html, summary.csv and summary.md in its folder
    #[command(after_help = pages::REPORT)]
    Report {
        /// The folder of a sweep, or one with result files
        dir: PathBuf,
    },
    /// Compare two sweeps point by point: the ratio B / A with its 95 % interval
    #[command(after_help = pages::COMPARE)]
    Compare(Compare),
    /// Show result files of the original driver in one table with ours, and say what they lack
    #[command(after_help = pages::IMPORT)]
    Import {
        /// Result files, or folders with them: the original's and ours
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Remove the containers and networks that a driver left which was killed
    #[command(after_help = pages::CLEAN)]
    Clean {
        /// Those of drivers that still run, too
        #[arg(long)]
        all: bool,
    },
    /// Print the JSON Schema of a result file
    #[command(after_help = pages::SCHEMA)]
    Schema,
    /// Print the completions of a shell
    #[command(after_help = pages::COMPLETIONS)]
    Completions {
        /// The shell that reads them
        shell: Shell,
    },
    /// Print the man page
    #[command(after_help = pages::MAN)]
    Man,
}

/// The flags of a survey.
#[derive(Clone, Debug, Args)]
pub struct Survey {
    /// The models, one after the other
    #[arg(long, value_name = "NAME", num_args = 1.., default_values = ["vgg", "inception", "svm", "lgbm"])]
    pub models: Vec<String>,
    /// How long the whole survey may take, in minutes, without the time to build programs
    #[arg(long, default_value_t = 10.0, allow_negative_numbers = true)]
    pub minutes: f64,
    /// Numbers of replicas to try
    #[arg(long = "num_replicas", num_args = 1.., default_values = ["1", "2"])]
    pub num_replicas: Vec<String>,
    /// Maximum batch sizes to try
    #[arg(long = "batch_sizes", num_args = 1.., default_values = ["1", "4"])]
    pub batch_sizes: Vec<String>,
    /// A folder of JPEG and PNG files for vgg and inception [default: random pictures]
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Where sweeps' folders go [default: results/]
    #[arg(long = "results_dir", value_name = "DIR")]
    pub results_dir: Option<PathBuf>,
    /// Plain lines instead of the live view
    #[arg(long)]
    pub plain: bool,
}

/// What a self-test is told.
#[derive(Clone, Debug, Args)]
pub struct SelfTest {
    /// Client threads
    #[arg(short = 'n', long = "num_clients", default_value_t = 1)]
    pub num_clients: usize,
    /// Bytes of an input
    #[arg(long = "input_bytes", default_values_t = [40, 8192, 602112])]
    pub input_bytes: Vec<usize>,
    /// Queries in flight
    #[arg(long = "in_flight", default_value_t = 64)]
    pub in_flight: usize,
    /// Seconds for each measurement
    #[arg(short, long = "duration_seconds", default_value_t = 2.0)]
    pub duration_seconds: f64,
}

/// What a comparison is told.
#[derive(Clone, Debug, Args)]
pub struct Compare {
    /// The folder of the first sweep: what is compared against
    pub a: PathBuf,
    /// The folder of the second one
    pub b: PathBuf,
    /// Exit status 1 if the throughput of some point, or its highest rate within the objective, is below this share of
    /// the first sweep's, significantly, or cannot be judged
    #[arg(long = "fail_below", value_name = "SHARE")]
    pub fail_below: Option<f64>,
    /// Exit status 1 if the p99 of some point is above this multiple of the first sweep's, significantly, or cannot be
    /// judged. After a search (--slo_ms) the p99s are at different rates: use --fail_below
    #[arg(long = "fail_above", value_name = "MULTIPLE")]
    pub fail_above: Option<f64>,
    /// Let points pass that cannot be judged: missing, NOT RUN, INVALID, without an interval, or a p99 at another load
    #[arg(long = "allow_missing")]
    pub allow_missing: bool,
    /// Write a JUnit file too, with a test case for each point
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Reads the command line, the file that `--config` names, and the record of the sweep that `--resume` names. `--help` and
/// what clap refuses end the process here.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let arguments: Vec<OsString> = arguments.into_iter().map(underscored).collect();
    let typed: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
    let typed = typed.join(" ");
    let mut given = Given::read(arguments, Line::command())?;
    if let Some(other) = given.line.other {
        return Ok(Command::Other(other));
    }
    if let Some(file) = &given.line.sweep.sweep.config {
        let added = config::arguments(file, &given)?;
        given = given.with(added)?;
    }
    let settings = match given.line.sweep.sweep.resume.clone() {
        None => {
            let arguments = given.repeatable();
            settings(given.line.sweep, typed, arguments)?
        }
        Some(folder) => resumed(&folder, &given)?,
    };
    check_paths(&settings)?;
    Ok(Command::Sweep(Box::new(settings)))
}

/// The settings of the sweep in a folder, as it was begun.
fn resumed(folder: &Path, given: &Given) -> Result<Settings, Error> {
    given.only(&["resume", "plain"])?;
    let folder = fs::canonicalize(folder)
        .map_err(|error| Error::Usage(format!("--resume {}: {error}", folder.display())))?;
    utf8("--resume", &folder)?;
    let record = Record::read(&folder)?;
    // Paths mean what they meant then, and what the environment said then is among the arguments.
    env::set_current_dir(&record.started_in)
        .map_err(|error| Error::file("go to", &record.started_in, error))?;
    let arguments = iter::once("driver").chain(record.arguments.iter().map(String::as_str));
    let command = Line::command().mut_args(|argument| argument.env(None));
    let begun = Given::read(arguments.map(OsString::from).collect(), command)?;
    let settings = settings(begun.line.sweep, record.command_line, record.arguments)?;
    Ok(Settings {
        resume: Some(folder),
        plain: given.line.sweep.output.plain,
        ..settings
    })
}

/// Refuses variables of Clipper's containers that say something the replicas would not be told: what is measured is what
/// the command line says.
pub fn check_environment(names: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    const READ: [&str; 4] = [
        "CLIPPER_ENGINE",
        "CLIPPER_GPU_MEM_FRAC",
        "CLIPPER_INPUT_TYPE",
        "CLIPPER_MODEL_PATH",
    ];
    let unread = |name: &String| name.starts_with("CLIPPER_") && !READ.contains(&name.as_str());
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    match names.into_iter().find(unread) {
        None => Ok(()),
        Some(name) => Err(Error::Usage(format!(
            "{name} is set, and replicas would not hear of it: unset it, and say what you want with a flag, or in the \
             metadata file beside the artifact"
        ))),
    }
}

/// `--num-replicas` is `--num_replicas`; values stay as they are.
fn underscored(argument: OsString) -> OsString {
    if !argument.as_bytes().starts_with(b"--") {
        return argument;
    }
    let mut bytes = argument.into_vec();
    let name = bytes.iter_mut().skip(2).take_while(|byte| **byte != b'=');
    for byte in name.filter(|byte| **byte == b'-') {
        *byte = b'_';
    }
    OsString::from_vec(bytes)
}

/// Refuses a sweep whose record and results, which hold paths as text, could not be written.
fn check_paths(settings: &Settings) -> Result<(), Error> {
    let started_in = env::current_dir()
        .map_err(|error| Error::Failed(format!("cannot find the current folder: {error}")))?;
    let paths = [
        ("--results_dir", Some(&settings.results_dir)),
        ("--input_dir", settings.input_dir.as_ref()),
        ("--labels", settings.labels.as_ref()),
        ("the current folder", Some(&started_in)),
    ];
    let mut named = paths
        .into_iter()
        .filter_map(|(flag, path)| Some((flag, path?)));
    named.try_for_each(|(flag, path)| utf8(flag, path).map(drop))
}

fn settings(flags: Flags, command_line: String, arguments: Vec<String>) -> Result<Settings, Error> {
    let Flags {
        model: model_flags,
        sweep,
        cores,
        docker,
        load,
        inputs,
        output,
    } = flags;
    let Some(name) = model_flags.model_name else {
        return Err(Error::Usage(
            "--model_name is missing: say what to measure, for instance --model_name vgg (driver --help explains)".into(),
        ));
    };
    let model = models::find(&name)?;
    let (input_dir, labels) = input_files(&inputs, model, model_flags.model_path.as_deref())?;
    let mode = mode(&load)?;
    let asked = time("--duration_seconds", &sweep.duration, 1.0);
    let duration = match (&labels, &mode) {
        (Some(_), _) => Duration::ZERO,
        (None, Mode::Trace(trace)) => trace.duration(asked?)?,
        (None, _) => asked?,
    };
    let engine = model.engine(model_flags.engine.as_deref())?;
    let list = |flag, pieces: &Option<Vec<String>>| {
        let pieces = pieces.as_deref();
        pieces.map(|pieces| core_list(flag, pieces)).transpose()
    };
    Ok(Settings {
        model,
        input_type: model.input_type(inputs.input_type.as_deref())?,
        docker: in_docker(docker, engine)?,
        engine,
        gpus: (cores.model_gpus.as_deref())
            .map_or(Ok(Vec::new()), |pieces| gpu_list(model, pieces))?,
        cpu_beyond_gpus: cores.cpu_beyond_gpus,
        gpu_mem_frac: share("--gpu_mem_frac", &cores.gpu_mem_frac)? as f32,
        duration,
        batch_sizes: numbers("--batch_sizes", &sweep.batch_sizes)?,
        num_replicas: numbers("--num_replicas", &sweep.num_replicas)?,
        repeats: number("--repeats", &sweep.repeats)?,
        until: (sweep.until.as_deref())
            .map(|text| share("--until", text))
            .transpose()?,
        zero: !sweep.no_zero && model.name != "noop",
        dry_run: sweep.dry_run,
        resume: None,
        model_cpus: list("--model_cpus", &cores.model_cpus)?,
        frontend_cpus: list("--frontend_cpus", &cores.frontend_cpus)?,
        client_cpus: list("--client_cpus", &cores.client_cpus)?,
        cpus_per_replica: cores.cpus_per_replica_nums.map_or(Ok(Vec::new()), |nums| {
            numbers("--cpus_per_replica_nums", &nums)
        })?,
        mode,
        load_shares: shares("--load_shares", &load.load_shares)?,
        num_clients: number("--num_clients", &load.num_clients)?,
        in_flight: (load.in_flight.as_deref())
            .map(|text| number("--in_flight", text))
            .transpose()?,
        objective: (load.slo_ms.as_deref())
            .map(|text| time("--slo_ms", text, 1e-3))
            .transpose()?,
        enforce_objective: load.enforce_slo,
        target_qps: (load.target_qps.as_deref())
            .map(|text| rate("--target_qps", text))
            .transpose()?,
        model_path: (model_flags.model_path.as_deref())
            .map(|path| utf8("--model_path", path))
            .transpose()?,
        input_dir,
        labels,
        seed: inputs.seed,
        results_dir: (output.results_dir)
            .unwrap_or_else(|| workspace().unwrap_or_else(|| ".".into()).join("results")),
        plain: output.plain,
        command_line,
        arguments,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use model::DataType;

    /// What a whole command line asks for, where it asks for a sweep.
    pub(crate) fn sweep(line: &str) -> Result<Settings, Error> {
        match parse(line.split_whitespace().map(OsString::from))? {
            Command::Sweep(settings) => Ok(*settings),
            Command::Other(other) => panic!("{line} is {other:?}"),
        }
    }

    fn parsed(line: &str) -> Result<Settings, Error> {
        let folder = tempfile::tempdir().unwrap();
        sweep(&format!(
            "driver {line} --results-dir {}",
            folder.path().display()
        ))
    }

    #[test]
    fn the_originals_command_line_is_understood() {
        let settings = parsed(
            "--duration_seconds 120 --model_name vgg --num_replicas 1 2 3 4 --batch_sizes 1 2 4 8 16 32",
        )
        .unwrap();
        assert_eq!(settings.model.name, "vgg");
        assert_eq!(settings.duration, Duration::from_secs(120));
        assert_eq!(settings.num_replicas, [1, 2, 3, 4]);
        assert_eq!(settings.batch_sizes, [1, 2, 4, 8, 16, 32]);
        assert_eq!(settings.input_type, DataType::Floats);
    }

    #[test]
    fn a_variable_that_replicas_would_not_hear_of_is_refused() {
        let check = |names: &[&str]| check_environment(names.iter().map(OsString::from));
        assert!(check(&["HOME", "CLIPPER_ENGINE", "CLIPPER_MODEL_PATH"]).is_ok());
        let error = check(&["HOME", "CLIPPER_DEVICE"]).unwrap_err().to_string();
        assert!(error.contains("CLIPPER_DEVICE is set"), "{error}");
    }

    #[test]
    fn dashes_and_underscores_commas_and_spaces_short_and_long_are_the_same() {
        let long = parsed("--model-name=svm --duration 5 --batch-sizes 1,2 4 --cpus-per-replica-nums 1 --model_cpus 2-3,5 --num-clients 2").unwrap();
        let short = parsed("-m svm -d 5 -b 1 2,4 -p 1 -c 2 3 5 -n 2").unwrap();
        for settings in [long, short] {
            assert_eq!(settings.model.name, "svm");
            assert_eq!(settings.duration, Duration::from_secs(5));
            assert_eq!(settings.batch_sizes, [1, 2, 4]);
            assert_eq!(settings.cpus_per_replica, [1]);
            assert_eq!(settings.model_cpus, Some(vec![2, 3, 5]));
            assert_eq!(settings.num_clients, 2);
        }
    }

    #[test]
    fn defaults_are_the_originals() {
        let settings = parsed("-m inception").unwrap();
        assert_eq!(settings.duration, Duration::from_secs(120));
        assert_eq!(settings.batch_sizes, [2]);
        assert_eq!(settings.num_replicas, [1]);
        assert_eq!(settings.input_type, DataType::Strings);
        assert_eq!((settings.objective, settings.mode), (None, Mode::Profile));
        assert_eq!(settings.model_cpus, None);
        assert_eq!((settings.engine, settings.gpus), (None, vec![]));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_flag_named() {
        for (line, named) in [
            ("-m vgh", "vgg, inception, svm, lgbm, noop"),
            ("-m vgg -b 0", "--batch_sizes"),
            ("-m vgg -b ,", "--batch_sizes is an empty list"),
            ("-b 1", "--model_name is missing"),
            ("-m vgg -r 1.5", "--num_replicas"),
            ("-m vgg -d 0", "--duration_seconds"),
            ("-m vgg -d inf", "--duration_seconds"),
            ("-m vgg --slo_ms 0", "--slo_ms"),
            ("-m vgg --mode fast", "--mode takes profile"),
            ("-m vgg --mode poisson", "needs --rate"),
            (
                "-m vgg --mode constant --rate 0",
                "--rate takes queries a second",
            ),
            (
                "-m vgg --rate 5",
                "--rate means nothing with --mode profile",
            ),
            ("-m vgg --mode trace", "needs --trace"),
            ("-m vgg --mode saturate --trace x", "--trace means nothing"),
            ("-m vgg --load_shares 0.5 1", "takes shares below 1"),
            ("-m vgg --until 2%", "--until takes a share"),
            ("-m vgg --repeats 0", "--repeats"),
            ("-m vgg --client_cpus x", "\"x\" in --client_cpus"),
            ("-m vgg -c 1-x", "\"1-x\" in --model_cpus"),
            ("-m vgg -c ,", "--model_cpus is an empty list"),
            ("-m vgg -p 0", "--cpus_per_replica_nums"),
            ("-m svm -g 0", "svm computes on CPU only"),
            ("-m vgg -g ,", "--model_gpus is an empty list"),
            ("-m vgg -g 0 one", "\"one\" in --model_gpus"),
            ("-m vgg -g 0 1 0", "GPU 0 twice"),
            ("-m vgg -g 0 --gpu_mem_frac 0", "--gpu_mem_frac"),
            ("-m vgg --engine tf", "ort or tch"),
            ("-m lgbm --engine ort", "no engine to choose"),
            ("-m lgbm --manager podman", "process or docker"),
            ("-m lgbm --image x", "--image means nothing without"),
            ("-m vgg --manager docker --engine tch", "ONNX Runtime only"),
            (
                "-m lgbm --manager docker --replica_memory_mib 0",
                "--replica_memory_mib",
            ),
            ("-m svm --input_type strings", "floats"),
            ("-m noop --input_dir .", "--input_dir"),
            ("-m vgg --accuracy", "vgg does not name classes"),
            ("-m noop --accuracy", "noop does not name classes"),
        ] {
            match parsed(line) {
                Err(Error::Usage(message)) => assert!(message.contains(named), "{line}: {message}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}
