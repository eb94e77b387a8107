//! A TOML file with flags. Keys are long names, with `-` or `_`; values are numbers, texts, booleans or lists.

use std::{ffi::OsString, fs, path::Path};

use clap::Arg;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    arg_source::{ArgSource, is_switch},
    config_errors::{is_list, not_toml, scalar, unknown_key, wrong_type},
};
use crate::error::Error;

/// Returns the flags of the file as arguments, without those on the command line. The error names file and line.
pub(super) fn arguments(file: &Path, args: &ArgSource) -> Result<Vec<OsString>, Error> {
    let cannot_read = |why: String| {
        let file = file.display();
        Error::Usage(format!("cannot read {file}: {why}"))
    };
    let text = fs::read_to_string(file)
        .map_err(|error| cannot_read(format!("{error}; name a TOML file with --config")))?;
    let wrong = |offset: usize, what: String| {
        let line = text[..offset].matches('\n').count() + 1;
        cannot_read(format!("line {line}: {what}"))
    };
    let table = DeTable::parse(&text).map_err(|error| {
        let offset = error.span().unwrap_or_default().start;
        wrong(offset, not_toml(&text, &error))
    })?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut arguments = Vec::new();
    for (key, value) in entries {
        let flag = flag(args, key.get_ref(), value.get_ref());
        let flag = flag.map_err(|what| wrong(key.span().start, what))?;
        let spelled = as_arguments(flag, value.get_ref());
        let spelled = spelled.ok_or_else(|| wrong_type(flag));
        let spelled = spelled.map_err(|what| wrong(value.span().start, what))?;
        if !args.is_typed(flag) {
            let checked = args.check(&spelled);
            checked.map_err(|what| wrong(value.span().start, what))?;
            arguments.extend(spelled.into_iter().map(OsString::from));
        }
    }
    Ok(arguments)
}

fn flag<'a>(args: &'a ArgSource, key: &str, value: &DeValue<'_>) -> Result<&'a Arg, String> {
    match args.flag(&key.replace('-', "_")) {
        None => Err(unknown_key(key, value, args)),
        Some(flag) if ["config", "resume"].contains(&flag.get_id().as_str()) => Err(format!(
            "{key} is for the command line only; remove the line and use --{key}"
        )),
        Some(flag) => Ok(flag),
    }
}

/// Returns the value as arguments; `None` if it has a type that the flag does not take.
fn as_arguments(flag: &Arg, value: &DeValue<'_>) -> Option<Vec<String>> {
    let name = flag.get_long().unwrap_or_default();
    let argument = |value: &DeValue<'_>| Some(format!("--{name}={}", scalar(value)?));
    match value {
        DeValue::Boolean(true) if is_switch(flag) => Some(vec![format!("--{name}")]),
        DeValue::Boolean(false) if is_switch(flag) => Some(Vec::new()),
        _ if is_switch(flag) => None,
        DeValue::Array(values) if is_list(flag) && !values.is_empty() => {
            let values = values.iter().map(Spanned::get_ref);
            values.map(argument).collect()
        }
        value => Some(vec![argument(value)?]),
    }
}

#[cfg(test)]
mod tests {
    use crate::{cli::tests::sweep, error::Error, settings::Settings};
    use std::fs;

    /// The settings of a file and of flags after it.
    fn with_file(text: &str, flags: &str) -> Result<Settings, Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sweep.toml");
        fs::write(&file, text).unwrap();
        sweep(&format!("driver --config {}{flags}", file.display()))
    }

    const FILE: &str = "model-name = \"lgbm\"\nbatch_sizes = [1, 8]\nmodel_cpus = \"2-3\"\nno_zero = true\n\
                        duration = 1.5\ndry_run = false\nload_shares = 0.5\n";

    #[test]
    fn a_file_sets_flags() {
        let settings = with_file(FILE, "").unwrap();
        assert_eq!(settings.model.name, "lgbm");
        assert_eq!(settings.batch_sizes, [1, 8]);
        assert_eq!(settings.model_cpus, Some(vec![2, 3]));
        assert_eq!(settings.duration.as_secs_f64(), 1.5);
        assert_eq!(settings.load_shares, [0.5]);
        assert!(!settings.baseline && !settings.dry_run);
    }

    #[test]
    fn flags_override_the_file_and_the_file_overrides_defaults() {
        let settings = with_file(FILE, " -b 4 -m svm").unwrap();
        assert_eq!(settings.model.name, "svm");
        assert_eq!(settings.batch_sizes, [4]);
        assert_eq!(settings.duration.as_secs_f64(), 1.5);
    }

    /// The one-line error of a file, without the part that names the file.
    fn error(text: &str) -> String {
        let Err(Error::Usage(message)) = with_file(text, " -m noop") else {
            panic!("no usage error: {text}");
        };
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(message.starts_with("cannot read /"), "{message}");
        let (_, what) = message.split_once("sweep.toml: ").unwrap();
        what.to_owned()
    }

    #[test]
    fn errors_name_line_mistake_and_correction() {
        for (text, expected) in [
            (
                "model_name = noop",
                "line 1: the value of model_name is not quoted; write model_name = \"noop\"",
            ),
            (
                "seed = 1\nmodel-cpus = 2-7 # all of them",
                "line 2: the value of model-cpus is not quoted; write model-cpus = \"2-7\"",
            ),
            (
                "model_path = C:\\my.onnx",
                "line 1: the value of model_path is not quoted; write model_path = 'C:\\my.onnx'",
            ),
            (
                "seed = 1\nbatchsizes = 2",
                "line 2: there is no flag batchsizes; write batch_sizes",
            ),
            (
                "colour = 1",
                "line 1: there is no flag colour; use the long name of a flag in `driver --help`",
            ),
            (
                "\n[sweep]\nseed = 1",
                "line 2: sweep is a table; write its flags above all tables, without a table",
            ),
            (
                "\nconfig = \"x\"",
                "line 2: config is for the command line only; remove the line and use --config",
            ),
            (
                "dry_run = 1",
                "line 1: dry_run takes true or false; write for instance dry_run = true",
            ),
            (
                "batch_sizes = []",
                "line 1: batch_sizes takes a number, a text, or a list of them; write for instance batch_sizes = [2]",
            ),
            (
                "seed = 1\nrepeats = 0",
                "line 2: invalid value '0' for '--repeats <N>': not a whole number from 1 to 100000",
            ),
        ] {
            assert_eq!(error(text), expected);
        }
    }

    #[test]
    fn errors_in_punctuation_show_the_notation() {
        for (text, line) in [
            ("seed = 1\n\nseed = 2", "line 3: duplicate key"),
            ("seed = 1\nbatch_sizes = [1 2]", "line 2: "),
            ("model_name: noop", "line 1: "),
            ("model_name = \"noop", "line 1: "),
        ] {
            let error = error(text);
            assert!(error.starts_with(line), "{error}");
            assert!(error.ends_with("several values in [ ]"), "{error}");
        }
    }

    #[test]
    fn missing_files_are_named() {
        let error = sweep("driver --config /nowhere.toml").unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("cannot read /nowhere.toml: "),
            "{message}"
        );
        assert!(
            message.ends_with("; name a TOML file with --config"),
            "{message}"
        );
    }
}
