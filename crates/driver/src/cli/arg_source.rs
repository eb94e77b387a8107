//! A command line with the source of each value: typed, environment or default.

use std::{
    ffi::{OsStr, OsString},
    io::{Write, stdout},
    process,
};

use clap::{
    Arg, ArgAction, ArgMatches, Command, FromArgMatches, error::ErrorKind, parser::ValueSource,
};

use super::line::Cli;
use crate::error::Error;

/// Flags of one run of the driver, which a resumed sweep does not repeat.
const RUN_FLAGS: [&str; 5] = ["config", "dry_run", "plain", "resume", "results_dir"];

/// A parsed command line.
#[derive(Debug)]
pub(super) struct ArgSource {
    /// Its values, including defaults and those of the environment.
    pub(super) cli: Cli,
    command: Command,
    arguments: Vec<OsString>,
    matches: ArgMatches,
}

impl ArgSource {
    /// Parses the arguments, the program's name first. Ends the process after `--help`, and after an error of clap
    /// that takes more than one line.
    pub(super) fn read(arguments: Vec<OsString>, command: Command) -> Result<ArgSource, Error> {
        let matches = command.clone().try_get_matches_from(&arguments);
        let matches = matches.or_else(print_or_fail)?;
        let cli = Cli::from_arg_matches(&matches).or_else(print_or_fail)?;
        Ok(ArgSource {
            cli,
            command,
            arguments,
            matches,
        })
    }

    /// Parses the arguments again, followed by `others`.
    pub(super) fn with(mut self, others: Vec<OsString>) -> Result<ArgSource, Error> {
        self.arguments.extend(others);
        ArgSource::read(self.arguments, self.command)
    }

    /// All flags of a sweep.
    pub(super) fn flags(&self) -> impl Iterator<Item = &Arg> {
        self.command.get_arguments()
    }

    /// The flag with this long name or alias.
    pub(super) fn flag(&self, name: &str) -> Option<&Arg> {
        self.flags().find(|flag| {
            let aliases = flag.get_all_aliases().unwrap_or_default();
            flag.get_long() == Some(name) || aliases.contains(&name)
        })
    }

    /// Checks the values in `arguments`; the error is clap's, in one line.
    pub(super) fn check(&self, arguments: &[String]) -> Result<(), String> {
        let all = ["driver"].into_iter();
        let all = all.chain(arguments.iter().map(String::as_str));
        match self.command.clone().try_get_matches_from(all) {
            Err(error) if is_refused_value(&error) => Err(in_one_line(&error)),
            _ => Ok(()),
        }
    }

    /// True if the flag is on the command line.
    pub(super) fn is_typed(&self, flag: &Arg) -> bool {
        self.source(flag) == Some(ValueSource::CommandLine)
    }

    /// Refuses typed flags other than `allowed`; the error names one.
    pub(super) fn only(&self, allowed: &[&str]) -> Result<(), Error> {
        let refused =
            |flag: &&Arg| self.is_typed(flag) && !allowed.contains(&flag.get_id().as_str());
        match self.flags().find(refused) {
            None => Ok(()),
            Some(flag) => Err(Error::Usage(format!(
                "--{} cannot be used with --resume, which continues a sweep with its own flags; omit it",
                flag.get_long().unwrap_or_default()
            ))),
        }
    }

    /// Returns all flags that were set, by command line, file or environment, as arguments that repeat the sweep in
    /// any environment.
    pub(super) fn repeatable(&self) -> Vec<String> {
        let is_set = |flag: &&Arg| {
            let sources = [ValueSource::CommandLine, ValueSource::EnvVariable];
            (self.source(flag)).is_some_and(|source| sources.contains(&source))
        };
        let of_the_sweep = |flag: &&Arg| !RUN_FLAGS.contains(&flag.get_id().as_str());
        let flags = self.flags().filter(is_set).filter(of_the_sweep);
        flags.flat_map(|flag| self.as_arguments(flag)).collect()
    }

    fn as_arguments(&self, flag: &Arg) -> Vec<String> {
        let name = format!("--{}", flag.get_long().unwrap_or_default());
        if is_switch(flag) {
            return vec![name];
        }
        let values = self.matches.get_raw(flag.get_id().as_str());
        let values = values.into_iter().flatten().map(OsStr::to_string_lossy);
        values.map(|value| format!("{name}={value}")).collect()
    }

    fn source(&self, flag: &Arg) -> Option<ValueSource> {
        self.matches.value_source(flag.get_id().as_str())
    }
}

/// Returns a refused value as an error. Otherwise prints clap's text and ends the process: help and version go to
/// standard output, other errors to standard error.
fn print_or_fail<T>(error: clap::Error) -> Result<T, Error> {
    if is_refused_value(&error) {
        return Err(Error::Usage(in_one_line(&error)));
    }
    if error.use_stderr() {
        error.exit()
    }
    report::check_written(error.print().and_then(|()| stdout().flush()))?;
    process::exit(0)
}

fn is_refused_value(error: &clap::Error) -> bool {
    let kinds = [ErrorKind::ValueValidation, ErrorKind::InvalidValue];
    kinds.contains(&error.kind())
}

/// Returns clap's text without the hint at `--help`: `invalid value '0' for '--repeats <N>': not a whole number from
/// 1 to 100000`.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let what = text.split("\n\n").next().unwrap_or_default();
    let lines: Vec<_> = what.lines().map(str::trim).collect();
    lines.join(" ")
}

/// True if a flag takes no value.
pub(super) fn is_switch(flag: &Arg) -> bool {
    matches!(flag.get_action(), ArgAction::SetTrue)
}

#[cfg(test)]
mod tests {
    use crate::cli::tests::sweep;

    #[test]
    fn arguments_repeat_the_sweep_without_flags_of_one_run() {
        let line = "driver -m vgg -b 1 2,4 --no-baseline --plain --dry_run --results_dir /tmp -c 0-1 --seed 7";
        let settings = sweep(line).unwrap();
        assert_eq!(
            settings.arguments,
            [
                "--model_name=vgg",
                "--batch_sizes=1",
                "--batch_sizes=2,4",
                "--no_baseline",
                "--model_cpus=0-1",
                "--seed=7"
            ]
        );
        let again = sweep(&format!("driver {}", settings.arguments.join(" "))).unwrap();
        assert_eq!(again.batch_sizes, [1, 2, 4]);
        assert_eq!(again.arguments, settings.arguments);
        assert!(!again.dry_run && !again.baseline);
    }
}
