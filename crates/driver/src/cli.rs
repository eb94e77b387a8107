//! The command line: flags as typed, checked and turned into [`Settings`].

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Parser;
use model::DataType;

use crate::{
    Error,
    cores::{self, Cores},
    labels,
    machine::workspace,
    models::{self, InputKind, KnownModel},
};

/// The latency objective if none is asked for: no queue here reaches it.
pub const NO_OBJECTIVE: Duration = Duration::from_secs(3600);

/// What to measure, free of contradictions that can be seen without looking at the machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The model.
    pub model: &'static KnownModel,
    /// The type of its inputs.
    pub input_type: DataType,
    /// How long each iteration is under load, its warm-up included; zero in an accuracy run, which ends by itself.
    pub duration: Duration,
    /// Maximum batch sizes to try.
    pub batch_sizes: Vec<usize>,
    /// Numbers of replicas to try.
    pub num_replicas: Vec<usize>,
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
    /// Client threads.
    pub num_clients: usize,
    /// Queries in flight; `None`: enough to fill every replica's batches.
    pub in_flight: Option<usize>,
    /// The application's latency objective.
    pub slo: Duration,
    /// The model's artifact, if it is not the model server's own.
    pub model_path: Option<String>,
    /// Where the inputs come from; `None`: seeded random ones.
    pub input_dir: Option<PathBuf>,
    /// The labels of the inputs: then this is an accuracy run, which sends each once.
    pub labels: Option<PathBuf>,
    /// The seed of random inputs.
    pub seed: u64,
    /// Where results go; it exists.
    pub results_dir: PathBuf,
    /// The arguments as typed.
    pub command_line: String,
}

/// Measures a model behind the query frontend: deploys it, keeps it saturated, writes one result file per iteration.
///
/// Every combination of --num_replicas, --cpus_per_replica_nums and --batch_sizes is one iteration.
#[derive(Debug, Parser)]
#[command(name = "driver", version, max_term_width = 110, after_help = EXAMPLES)]
struct Flags {
    /// The model to measure: vgg, inception, svm, lgbm or noop
    #[arg(short, long = "model_name", value_name = "MODEL", help_heading = MODEL)]
    model_name: String,
    /// The artifact [default: the model server's own]
    #[arg(long = "model_path", env = "CLIPPER_MODEL_PATH", value_name = "PATH", help_heading = MODEL)]
    model_path: Option<String>,

    /// What computes the networks of vgg and inception: ort (ONNX Runtime) or tch (libtorch, after `make tch`)
    /// [default: ort]
    #[arg(long, env = "CLIPPER_ENGINE", value_name = "ENGINE", help_heading = MODEL)]
    engine: Option<String>,

    /// Seconds under load in each iteration; the first tenth or more is warm-up and not counted
    #[arg(short, long = "duration_seconds", visible_alias = "duration", value_name = "SECONDS", default_value = "120", help_heading = SWEEP)]
    duration: String,
    /// Maximum batch sizes
    #[arg(short, long = "batch_sizes", value_name = "N", num_args = 1.., default_value = "2", help_heading = SWEEP)]
    batch_sizes: Vec<String>,
    /// Numbers of replicas
    #[arg(short = 'r', long = "num_replicas", value_name = "N", num_args = 1.., default_value = "1", help_heading = SWEEP)]
    num_replicas: Vec<String>,

    /// Cores for the replicas, each to one replica: `20 21`, `20-23`, `20,21`; frontend and driver go to the others.
    /// Without this flag and the next one, everything shares all cores
    #[arg(short = 'c', long = "model_cpus", value_name = "CORES", num_args = 1.., help_heading = CORES)]
    model_cpus: Option<Vec<String>>,
    /// Numbers of cores for each replica, out of --model_cpus or of all [default with --model_cpus: an even share]
    #[arg(short = 'p', long = "cpus_per_replica_nums", value_name = "N", num_args = 1.., help_heading = CORES)]
    cpus_per_replica_nums: Option<Vec<String>>,
    /// GPUs for the replicas, by number, each to one replica (vgg, inception)
    #[arg(short = 'g', long = "model_gpus", value_name = "GPU", num_args = 1.., help_heading = CORES)]
    model_gpus: Option<Vec<String>>,
    /// Let replicas beyond the GPUs compute on CPU cores; without it more replicas than GPUs are an error
    #[arg(long = "cpu_beyond_gpus", requires = "model_gpus", help_heading = CORES)]
    cpu_beyond_gpus: bool,
    /// Share of its GPU's memory that a replica may take, above 0 and at most 1
    #[arg(long = "gpu_mem_frac", env = "CLIPPER_GPU_MEM_FRAC", value_name = "SHARE", default_value = "0.9", help_heading = CORES)]
    gpu_mem_frac: String,

    /// Client threads
    #[arg(short = 'n', long = "num_clients", value_name = "N", default_value = "1", help_heading = LOAD)]
    num_clients: String,
    /// Queries in flight, over all clients [default: 3 x batch size x replicas, so that batches fill]
    #[arg(long = "in_flight", value_name = "N", help_heading = LOAD)]
    in_flight: Option<String>,
    /// Latency objective in milliseconds; a query that misses it is answered with the default output
    /// [default: one hour, which no queue here reaches]
    #[arg(long = "slo_ms", value_name = "MS", help_heading = LOAD)]
    slo_ms: Option<String>,
    /// Real inputs: a folder of JPEG and PNG files (vgg, inception) or an .npy file of float rows (svm, lgbm)
    /// [default: seeded random ones; with --accuracy, artifacts/MODEL.npy]
    #[arg(long = "input_dir", value_name = "PATH", help_heading = LOAD)]
    input_dir: Option<PathBuf>,
    /// floats or strings, where the model takes both [default: strings for inception, floats for the others]
    #[arg(long = "input_type", env = "CLIPPER_INPUT_TYPE", value_name = "TYPE", help_heading = LOAD)]
    input_type: Option<String>,
    /// Accuracy run (svm, lgbm): sends every labelled input once, counts the right answers and compares them with the
    /// artifact's offline evaluation; measures no speed
    #[arg(long, conflicts_with = "duration", help_heading = LOAD)]
    accuracy: bool,
    /// The inputs' labels, one per line [default: NAME.labels.txt beside the inputs NAME.npy]
    #[arg(long, value_name = "FILE", requires = "accuracy", help_heading = LOAD)]
    labels: Option<PathBuf>,
    /// Seed of the random inputs
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = LOAD)]
    seed: u64,

    /// Folder for result files and logs [default: results/ at the root of the workspace, else here]
    #[arg(long = "results_dir", value_name = "DIR", help_heading = OUTPUT)]
    results_dir: Option<PathBuf>,
}

const MODEL: &str = "Model";
const SWEEP: &str = "Sweep (lists: several values after one flag, by spaces or commas)";
const CORES: &str = "Cores";
const LOAD: &str = "Load";
const OUTPUT: &str = "Output";

const EXAMPLES: &str = "\
In a flag's name - and _ are the same.

Examples:
  driver -m vgg -r 1 2 3 4 -b 1 2 4 8 16 32 -d 120    24 iterations of two minutes
  driver -m inception --input_dir ~/photographs       real pictures
  driver -m svm -c 2-7 -r 1 2 3 -p 1 2 -b 32          replicas on cores of their own
  driver -m noop -b 32 -d 5                           what frontend and protocol cost
  driver -m svm --accuracy -r 1 2 -b 1 32             are the served answers right?

Exit status: 0 every query answered by the model, 1 something failed, was not answered or is not as
accurate as the artifact's offline evaluation, 2 a flag that makes no sense, 130 stopped by Ctrl-C.";

/// Reads the command line. `--help` and what clap refuses end the process here.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Settings, Error> {
    let arguments: Vec<OsString> = arguments.into_iter().map(underscored).collect();
    let command_line: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
    let command_line = command_line.join(" ");
    let flags = Flags::try_parse_from(&arguments).unwrap_or_else(|error| error.exit());
    settings(flags, command_line)
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
    let Some(text) = argument.to_str() else {
        return argument;
    };
    let Some(flag) = text.strip_prefix("--") else {
        return argument;
    };
    let (name, value) = flag.split_at(flag.find('=').unwrap_or(flag.len()));
    format!("--{}{value}", name.replace('-', "_")).into()
}

fn settings(flags: Flags, command_line: String) -> Result<Settings, Error> {
    let model = models::find(&flags.model_name)?;
    if flags.input_dir.is_some() && matches!(model.input, InputKind::Anything(_)) {
        return Err(Error::Usage(format!(
            "{} does not look at its inputs: leave --input_dir out",
            model.name
        )));
    }
    let (input_dir, labels) = match flags.accuracy {
        true => {
            let artifact = flags.model_path.as_deref().map(Path::new);
            let files = labels::locate(model, flags.input_dir, artifact, flags.labels)?;
            (Some(files.0), Some(files.1))
        }
        false => (flags.input_dir, None),
    };
    let duration = match labels {
        Some(_) => Duration::ZERO,
        None => time("--duration_seconds", &flags.duration, 1.0)?,
    };
    Ok(Settings {
        model,
        input_type: model.input_type(flags.input_type.as_deref())?,
        engine: model.engine(flags.engine.as_deref())?,
        gpus: (flags.model_gpus.as_deref())
            .map_or(Ok(Vec::new()), |pieces| gpu_list(model, pieces))?,
        cpu_beyond_gpus: flags.cpu_beyond_gpus,
        gpu_mem_frac: share("--gpu_mem_frac", &flags.gpu_mem_frac)?,
        duration,
        batch_sizes: numbers("--batch_sizes", &flags.batch_sizes)?,
        num_replicas: numbers("--num_replicas", &flags.num_replicas)?,
        model_cpus: flags.model_cpus.as_deref().map(core_list).transpose()?,
        cpus_per_replica: flags.cpus_per_replica_nums.map_or(Ok(Vec::new()), |nums| {
            numbers("--cpus_per_replica_nums", &nums)
        })?,
        num_clients: number("--num_clients", &flags.num_clients)?,
        in_flight: (flags.in_flight.as_deref())
            .map(|text| number("--in_flight", text))
            .transpose()?,
        slo: (flags.slo_ms.as_deref())
            .map(|text| time("--slo_ms", text, 1e-3))
            .transpose()?
            .unwrap_or(NO_OBJECTIVE),
        model_path: flags.model_path,
        input_dir,
        labels,
        seed: flags.seed,
        results_dir: results_dir(flags.results_dir)?,
        command_line,
    })
}

/// Numbers of things: from one up to far more than any machine holds.
fn number(flag: &str, text: &str) -> Result<usize, Error> {
    match text.trim().parse() {
        Ok(number @ 1..=100_000) => Ok(number),
        _ => Err(Error::Usage(format!(
            "{flag} takes whole numbers from 1 to 100000, not {text:?}"
        ))),
    }
}

fn numbers(flag: &str, pieces: &[String]) -> Result<Vec<usize>, Error> {
    let pieces = pieces.iter().flat_map(|piece| piece.split([',', ' ']));
    let numbers = pieces
        .filter(|piece| !piece.is_empty())
        .map(|piece| number(flag, piece))
        .collect::<Result<Vec<_>, _>>()?;
    if numbers.is_empty() {
        return Err(Error::Usage(format!(
            "{flag} is an empty list: give at least one number, for instance {flag} 1 2 4"
        )));
    }
    Ok(numbers)
}

fn core_list(pieces: &[String]) -> Result<Cores, Error> {
    let cores = cores::parse(pieces).map_err(|piece| {
        Error::Usage(format!(
            "{piece:?} in --model_cpus is no core: write numbers and ranges, for instance 20 21 or 20-23"
        ))
    })?;
    if cores.is_empty() {
        return Err(Error::Usage(
            "--model_cpus is an empty list: name cores, for instance 0-3, or leave it out".into(),
        ));
    }
    Ok(cores)
}

/// A time of at least a millisecond and at most a year, given in units of `unit` seconds.
fn time(flag: &str, text: &str, unit: f64) -> Result<Duration, Error> {
    text.trim()
        .parse::<f64>()
        .ok()
        .and_then(|number| Duration::try_from_secs_f64(number * unit).ok())
        .filter(|time| (1..=365 * 86_400_000).contains(&time.as_millis()))
        .ok_or_else(|| {
            Error::Usage(format!(
                "{flag} takes a number above zero (and below a year), not {text:?}"
            ))
        })
}

/// GPUs by number, each once.
fn gpu_list(model: &KnownModel, pieces: &[String]) -> Result<Vec<u32>, Error> {
    if model.engines.is_empty() {
        return Err(Error::Usage(format!(
            "{} computes on CPU only: leave --model_gpus out",
            model.name
        )));
    }
    let pieces = pieces.iter().flat_map(|piece| piece.split([',', ' ']));
    let mut gpus = Vec::new();
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        match piece.parse() {
            Ok(gpu) if gpus.contains(&gpu) => {
                let twice = format!("--model_gpus names GPU {gpu} twice: each replica has its own");
                return Err(Error::Usage(twice));
            }
            Ok(gpu) => gpus.push(gpu),
            Err(_) => {
                let text = format!("{piece:?} in --model_gpus is no GPU: write numbers, as 0 1");
                return Err(Error::Usage(text));
            }
        }
    }
    if gpus.is_empty() {
        return Err(Error::Usage(
            "--model_gpus is an empty list: name GPUs, for instance 0 1, or leave it out".into(),
        ));
    }
    Ok(gpus)
}

fn share(flag: &str, text: &str) -> Result<f32, Error> {
    match text.trim().parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err(Error::Usage(format!(
            "{flag} takes a share above 0 and at most 1, not {text:?}"
        ))),
    }
}

/// The folder for results, made and tried, so that no iteration is measured in vain.
fn results_dir(asked: Option<PathBuf>) -> Result<PathBuf, Error> {
    let folder = asked.unwrap_or_else(|| workspace().unwrap_or_else(|| ".".into()).join("results"));
    let logs = folder.join("logs");
    let probe = logs.join(format!(".probe-{}", std::process::id()));
    fs::create_dir_all(&logs)
        .and_then(|()| fs::write(&probe, ""))
        .and_then(|()| fs::remove_file(&probe))
        .map_err(|error| {
            Error::Usage(format!(
                "cannot write results to {}: {error}; choose another folder with --results_dir",
                folder.display()
            ))
        })?;
    fs::canonicalize(&folder).map_err(|error| Error::file("find", &folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Settings, Error> {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("driver {line} --results-dir {}", folder.path().display());
        parse(line.split(' ').map(OsString::from))
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
        assert_eq!(settings.slo, NO_OBJECTIVE);
        assert_eq!(settings.model_cpus, None);
        assert_eq!((settings.engine, settings.gpus), (None, vec![]));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_flag_named() {
        for (line, named) in [
            ("-m vgh", "vgg, inception, svm, lgbm, noop"),
            ("-m vgg -b 0", "--batch_sizes"),
            ("-m vgg -b ,", "--batch_sizes is an empty list"),
            ("-m vgg -r 1.5", "--num_replicas"),
            ("-m vgg -d 0", "--duration_seconds"),
            ("-m vgg -d inf", "--duration_seconds"),
            ("-m vgg --slo_ms 0", "--slo_ms"),
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
