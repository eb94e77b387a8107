//! A TOML file with flags: long names as keys, with `-` or `_`; values that are numbers, texts, switches or lists.

use std::{ffi::OsString, fs, ops::Range, path::Path};

use clap::{Arg, ArgAction};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::given::{Given, is_switch};
use crate::Error;

/// The flags that the file gives and the command line does not, as arguments. The error names file and line.
pub(super) fn arguments(file: &Path, given: &Given) -> Result<Vec<OsString>, Error> {
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

fn find<'a>(given: &'a Given, key: &str) -> Result<&'a Arg, String> {
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
