//! A TOML file with flags: long names as keys, with `-` or `_`; values that are numbers, texts, switches or lists.

use std::{ffi::OsString, fs, ops::Range, path::Path};

use clap::{Arg, ArgAction};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::arg_source::{ArgSource, is_switch};
use crate::error::Error;

/// The flags that the file gives and the command line does not, as arguments. The error names file and line.
pub(super) fn arguments(file: &Path, given: &ArgSource) -> Result<Vec<OsString>, Error> {
    let text = fs::read_to_string(file)
        .map_err(|error| Error::Usage(format!("--config {}: {error}", file.display())))?;
    let wrong = |span: Range<usize>, what: String| {
        let line = text[..span.start].matches('\n').count() + 1;
        Error::Usage(format!("{}, line {line}: {what}", file.display()))
    };
    let table = DeTable::parse(&text).map_err(|error| {
        wrong(
            error.span().unwrap_or_default(),
            error.message().replace('\n', ", "),
        )
    })?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut arguments = Vec::new();
    for (key, value) in entries {
        let flag = find(given, key.get_ref()).map_err(|what| wrong(key.span(), what))?;
        let spelled = spelled(flag, value).map_err(|what| wrong(value.span(), what))?;
        if !given.typed(flag) {
            arguments.extend(spelled.into_iter().map(OsString::from));
        }
    }
    Ok(arguments)
}

fn find<'a>(given: &'a ArgSource, key: &str) -> Result<&'a Arg, String> {
    let name = key.replace('-', "_");
    let is_called = |flag: &&Arg| {
        let names = flag.get_long_and_visible_aliases().unwrap_or_default();
        names.contains(&name.as_str())
    };
    let flag = given.flags().find(is_called);
    let flag = flag.ok_or(format!(
        "there is no flag {key:?}: `driver --help` lists them"
    ))?;
    match flag.get_id().as_str() {
        "config" | "resume" => Err(format!("{key} belongs on the command line")),
        _ => Ok(flag),
    }
}

/// The value as arguments; or what the flag takes instead.
fn spelled(flag: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let name = flag.get_long().unwrap_or_default();
    let is_list = matches!(flag.get_action(), ArgAction::Append);
    let takes = match (is_switch(flag), is_list) {
        (true, _) => "true or false",
        (false, true) => "a number, a text, or a list of them",
        (false, false) => "a number or a text",
    };
    let wrong = || format!("{name} takes {takes}");
    let argument = |value: &DeValue<'_>| {
        let value = scalar(value).ok_or_else(wrong)?;
        Ok(format!("--{name}={value}"))
    };
    match value.get_ref() {
        DeValue::Boolean(on) if is_switch(flag) => {
            Ok(on.then(|| format!("--{name}")).into_iter().collect())
        }
        _ if is_switch(flag) => Err(wrong()),
        DeValue::Array(values) if is_list && !values.is_empty() => {
            let values = values.iter().map(Spanned::get_ref);
            values.map(argument).collect()
        }
        value => argument(value).map(|argument| vec![argument]),
    }
}

/// As it would be typed.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{cli::tests::sweep, error::Error, settings::Settings};
    use std::fs;

    /// What a file, and then the flags, ask for.
    fn with_file(text: &str, flags: &str) -> Result<Settings, Error> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sweep.toml");
        fs::write(&file, text).unwrap();
        sweep(&format!("driver --config {}{flags}", file.display()))
    }

    const FILE: &str = "model-name = \"lgbm\"\nbatch_sizes = [1, 8]\nmodel_cpus = \"2-3\"\nno_zero = true\n\
                        duration = 1.5\ndry_run = false\nload_shares = 0.5\n";

    #[test]
    fn a_file_says_what_flags_say() {
        let settings = with_file(FILE, "").unwrap();
        assert_eq!(settings.model.name, "lgbm");
        assert_eq!(settings.batch_sizes, [1, 8]);
        assert_eq!(settings.model_cpus, Some(vec![2, 3]));
        assert_eq!(settings.duration.as_secs_f64(), 1.5);
        assert_eq!(settings.load_shares, [0.5]);
        assert!(!settings.zero && !settings.dry_run);
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_a_default() {
        let settings = with_file(FILE, " -b 4 -m svm").unwrap();
        assert_eq!(settings.model.name, "svm");
        assert_eq!(settings.batch_sizes, [4]);
        assert_eq!(settings.duration.as_secs_f64(), 1.5);
    }

    #[test]
    fn what_makes_no_sense_in_a_file_is_named_with_its_line() {
        for (text, says) in [
            (
                "seed = 1\nbatchsizes = 2",
                "line 2: there is no flag \"batchsizes\"",
            ),
            (
                "\nconfig = \"x\"",
                "line 2: config belongs on the command line",
            ),
            (
                "resume = \"x\"",
                "line 1: resume belongs on the command line",
            ),
            ("seed = [1]", "line 1: seed takes a number or a text"),
            ("seed = true", "line 1: seed takes a number or a text"),
            ("no_zero = 1", "line 1: no_zero takes true or false"),
            (
                "batch_sizes = []",
                "line 1: batch_sizes takes a number, a text, or a list",
            ),
            (
                "batch_sizes = [1, [2]]",
                "line 1: batch_sizes takes a number, a text, or a list",
            ),
            ("[compare]\na = 1", "line 1: there is no flag \"compare\""),
            ("seed = 1\nseed = 2", "line 2: duplicate key"),
            ("seed =", "line 1:"),
        ] {
            match with_file(text, " -m noop") {
                Err(Error::Usage(message)) => {
                    assert!(message.contains(says), "{text}: {message}");
                    assert!(message.contains("sweep.toml, line"), "{message}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = sweep("driver --config /nowhere.toml").unwrap_err();
        assert!(
            error.to_string().contains("--config /nowhere.toml"),
            "{error}"
        );
    }
}
