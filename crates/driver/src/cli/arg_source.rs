//! What of a command line was given, and what is a default.

use std::{
    ffi::{OsStr, OsString},
    io::{Write, stdout},
    process,
};

use clap::{
    Arg, ArgAction, ArgMatches, Command, FromArgMatches, error::ErrorKind, parser::ValueSource,
};

use super::line::Line;
use crate::error::Error;

/// Flags that are of one run of the driver, not of the sweep: a sweep that is resumed does not repeat them.
const OF_THIS_RUN: [&str; 5] = ["config", "dry_run", "plain", "resume", "results_dir"];

/// A command line as read.
#[derive(Debug)]
pub(super) struct ArgSource {
    /// Its values, defaults and the environment's among them.
    pub(super) line: Line,
    command: Command,
    arguments: Vec<OsString>,
    matches: ArgMatches,
}

impl ArgSource {
    /// Reads the arguments, the program's name first. `--help` and what clap refuses end the process here; a help that
    /// cannot be printed is an error.
    pub(super) fn read(arguments: Vec<OsString>, command: Command) -> Result<ArgSource, Error> {
        let matches = command.clone().try_get_matches_from(&arguments);
        let matches = matches.or_else(ended)?;
        let line = Line::from_arg_matches(&matches).or_else(ended)?;
        Ok(ArgSource {
            line,
            command,
            arguments,
            matches,
        })
    }

    /// Reads them again, with others behind them.
    pub(super) fn with(mut self, others: Vec<OsString>) -> Result<ArgSource, Error> {
        self.arguments.extend(others);
        ArgSource::read(self.arguments, self.command)
    }

    /// The flags that there are.
    pub(super) fn flags(&self) -> impl Iterator<Item = &Arg> {
        self.command.get_arguments()
    }

    /// True if the flag was typed.
    pub(super) fn typed(&self, flag: &Arg) -> bool {
        self.source(flag) == Some(ValueSource::CommandLine)
    }

    /// An error that names a flag which was typed and is not among these.
    pub(super) fn only(&self, allowed: &[&str]) -> Result<(), Error> {
        let refused = |flag: &&Arg| self.typed(flag) && !allowed.contains(&flag.get_id().as_str());
        match self.flags().find(refused) {
            None => Ok(()),
            Some(flag) => Err(Error::Usage(format!(
                "--{} cannot be given beside --resume: a sweep goes on with the flags that it was begun with",
                flag.get_long().unwrap_or_default()
            ))),
        }
    }

    /// All that was given, by flag, file or environment, as arguments that say it again in any environment.
    pub(super) fn repeatable(&self) -> Vec<String> {
        let given = |flag: &&Arg| {
            let by_somebody = [ValueSource::CommandLine, ValueSource::EnvVariable];
            (self.source(flag)).is_some_and(|source| by_somebody.contains(&source))
        };
        let of_the_sweep = |flag: &&Arg| !OF_THIS_RUN.contains(&flag.get_id().as_str());
        let flags = self.flags().filter(given).filter(of_the_sweep);
        flags.flat_map(|flag| self.spelled(flag)).collect()
    }

    fn spelled(&self, flag: &Arg) -> Vec<String> {
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

/// Returns a value that its flag does not take as an error like any other. Otherwise ends the process with what clap has
/// to say: a help or version on standard output, or what it refuses on standard error.
fn ended<T>(error: clap::Error) -> Result<T, Error> {
    if let ErrorKind::ValueValidation | ErrorKind::InvalidValue = error.kind() {
        return Err(Error::Usage(in_one_line(&error)));
    }
    if error.use_stderr() {
        error.exit()
    }
    report::printed(error.print().and_then(|()| stdout().flush()))?;
    process::exit(0)
}

/// Without the hint at `--help`: `invalid value '0' for '--repeats <N>': not a whole number from 1 to 100000`.
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
    fn what_was_given_can_be_said_again_without_what_is_of_this_run_alone() {
        let line =
            "driver -m vgg -b 1 2,4 --no-zero --plain --dry_run --results_dir /tmp -c 0-1 --seed 7";
        let settings = sweep(line).unwrap();
        assert_eq!(
            settings.arguments,
            [
                "--model_name=vgg",
                "--batch_sizes=1",
                "--batch_sizes=2,4",
                "--no_zero",
                "--model_cpus=0-1",
                "--seed=7"
            ]
        );
        let again = sweep(&format!("driver {}", settings.arguments.join(" "))).unwrap();
        assert_eq!(again.batch_sizes, [1, 2, 4]);
        assert_eq!(again.arguments, settings.arguments);
        assert!(!again.dry_run && !again.zero);
    }
}
