//! Reads and checks the command line, and turns it into a [`Command`].

mod arg_source;
mod config;
mod config_errors;
mod cross_checks;
mod environment;
mod flags;
mod line;
mod lists;
mod pages;
mod paths;
mod sweep;
mod texts;
mod values;

pub use environment::check_environment;
pub use line::{CompareArgs, SelfTestArgs, Subcommand, SurveyArgs};
pub use pages::{completions, man};

use std::{
    env,
    ffi::OsString,
    fs, iter,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

use clap::CommandFactory;

use crate::{error::Error, record::Record, settings::Settings};
use arg_source::ArgSource;
use line::Cli;
use paths::utf8;
use sweep::settings;

/// A command line, checked.
#[derive(Clone, Debug)]
pub enum Command {
    /// A sweep: the command line without a subcommand.
    Sweep(Box<Settings>),
    /// A subcommand with its arguments.
    Subcommand(Subcommand),
}

/// Reads the command line, the `--config` file, and the record of the sweep to `--resume`. Ends the process after
/// `--help`, and after an error of clap that takes more than one line.
///
/// # Errors
/// If a flag is refused, or a named file cannot be read.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let arguments: Vec<OsString> = arguments.into_iter().map(underscored).collect();
    let command_line: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
    let command_line = command_line.join(" ");
    let mut source = ArgSource::read(arguments, Cli::command())?;
    if let Some(subcommand) = source.cli.subcommand {
        return Ok(Command::Subcommand(subcommand));
    }
    if let Some(file) = &source.cli.sweep.sweep.config {
        let added = config::arguments(file, &source)?;
        source = source.with(added)?;
    }
    let settings = match source.cli.sweep.sweep.resume.clone() {
        None => {
            let arguments = source.repeatable();
            settings(source.cli.sweep, command_line, arguments)?
        }
        Some(folder) => resumed(&folder, &source)?,
    };
    check_paths(&settings)?;
    Ok(Command::Sweep(Box::new(settings)))
}

/// Returns the settings of the sweep in `folder`, as it was started.
fn resumed(folder: &Path, source: &ArgSource) -> Result<Settings, Error> {
    source.only(&["resume", "plain"])?;
    let folder = fs::canonicalize(folder)
        .map_err(|error| Error::Usage(format!("--resume {}: {error}", folder.display())))?;
    utf8("--resume", &folder)?;
    let record = Record::read(&folder)?;
    // Relative paths start from the folder of that run; its environment is among the arguments.
    env::set_current_dir(&record.started_in)
        .map_err(|error| Error::file("change to the folder", &record.started_in, error))?;
    let arguments = iter::once("driver").chain(record.arguments.iter().map(String::as_str));
    let command = Cli::command().mut_args(|argument| argument.env(None));
    let recorded = ArgSource::read(arguments.map(OsString::from).collect(), command)?;
    let settings = settings(recorded.cli.sweep, record.command_line, record.arguments)?;
    Ok(Settings {
        resume: Some(folder),
        plain: source.cli.sweep.output.plain,
        ..settings
    })
}

/// Replaces `-` by `_` in a flag's name: `--num-replicas` becomes `--num_replicas`. Values are unchanged.
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

/// Refuses paths that are not UTF-8: records and results hold paths as text.
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

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::Mode;
    use model::DataType;

    /// Returns the settings of a whole command line of a sweep.
    pub(crate) fn sweep(line: &str) -> Result<Settings, Error> {
        match parse(line.split_whitespace().map(OsString::from))? {
            Command::Sweep(settings) => Ok(*settings),
            Command::Subcommand(subcommand) => panic!("{line} is {subcommand:?}"),
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
    fn parses_the_command_line_of_the_original_driver() {
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
    fn all_spellings_of_flags_and_lists_are_equal() {
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
    fn defaults_equal_those_of_the_original_driver() {
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
    fn errors_name_the_refused_flag() {
        for (line, named) in [
            ("-m vgh", "vgg, inception, svm, lgbm, noop"),
            ("-m vgg -b 0", "--batch_sizes"),
            ("-m vgg -b ,", "--batch_sizes is an empty list"),
            ("-b 1", "--model_name is missing"),
            ("-m vgg -r 1.5", "--num_replicas"),
            ("-m vgg -d 0", "--duration_seconds"),
            ("-m vgg -d inf", "--duration_seconds"),
            ("-m vgg --slo_ms 0", "--slo_ms"),
            (
                "-m vgg --mode fast",
                "'--mode <MODE>' [possible values: profile",
            ),
            ("-m vgg --mode poisson", "needs --rate"),
            (
                "-m vgg --mode constant --rate 0",
                "'--rate <QPS>': not a rate in queries per second",
            ),
            (
                "-m vgg --rate 5",
                "--rate has no effect with --mode profile",
            ),
            ("-m vgg --mode trace", "needs --trace"),
            ("-m vgg --mode saturate --trace x", "--trace has no effect"),
            ("-m vgg --load_shares 0.5 1", "\"1\" is not below 1"),
            ("-m vgg --until 2%", "'--until <SHARE>': not a share"),
            ("-m vgg --repeats 0", "--repeats"),
            (
                "-m vgg --client_cpus x",
                "--client_cpus <CORES>...': \"x\" is ",
            ),
            ("-m vgg -c 1-x", "--model_cpus <CORES>...': \"1-x\" is "),
            ("-m vgg -c ,", "--model_cpus is an empty list"),
            ("-m vgg -p 0", "--cpus_per_replica_nums"),
            ("-m svm -g 0", "svm computes on CPU only"),
            ("-m vgg -g ,", "--model_gpus is an empty list"),
            (
                "-m vgg -g 0 one",
                "--model_gpus <GPU>...': \"one\" is not a GPU number",
            ),
            ("-m vgg -g 0 1 0", "GPU 0 twice"),
            ("-m vgg -g 0 --gpu_mem_frac 0", "--gpu_mem_frac"),
            ("-m vgg --engine tf", "ort or tch"),
            ("-m lgbm --engine ort", "no choice of engines"),
            (
                "-m lgbm --manager podman",
                "[possible values: process, docker]",
            ),
            ("-m lgbm --image x", "--image has no effect without"),
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
