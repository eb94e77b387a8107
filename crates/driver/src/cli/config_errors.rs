//! Errors in a `--config` file, each in one line: the mistake and what to write instead.

use clap::{Arg, ArgAction};
use toml::de::{DeValue, Error as TomlError};

use super::arg_source::{ArgSource, is_switch};

/// Explains why the file is not TOML, from the line in which the parser stopped.
pub(super) fn not_toml(text: &str, error: &TomlError) -> String {
    let start = error.span().unwrap_or_default().start;
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    match line.split_once('=') {
        Some((key, value)) if error.message() != "duplicate key" && is_unquoted(value) => {
            let (key, value) = (key.trim(), value.split('#').next().unwrap_or_default());
            let value = quoted(value.trim());
            format!("the value of {key} is not quoted; write {key} = {value}")
        }
        _ => format!(
            "{}; write NAME = VALUE once for each flag: numbers as they are, texts in quotes, several values in [ ]",
            error.message().replace('\n', ", ")
        ),
    }
}

/// True for a value that TOML takes for text without quotes.
fn is_unquoted(value: &str) -> bool {
    let value = value.trim_start();
    value.starts_with(|first: char| !"[\"'.+-".contains(first) && !first.is_ascii_digit())
        || value.contains("-") && value.starts_with(|first: char| first.is_ascii_digit())
}

/// Explains that no flag has the name `key`.
pub(super) fn unknown_key(key: &str, value: &DeValue<'_>, args: &ArgSource) -> String {
    let normal = |name: &str| name.to_lowercase().replace(['-', '_'], "");
    let wanted = normal(key);
    let names = || {
        args.flags()
            .filter_map(|flag| Some((flag, flag.get_long()?)))
    };
    let equal = names().find(|(_, name)| normal(name) == wanted);
    let close = || names().find(|(_, name)| wanted.len() >= 4 && normal(name).contains(&wanted));
    match (equal.or_else(close), value) {
        (Some((_, name)), _) => format!("there is no flag {key}; write {name}"),
        (None, DeValue::Table(_)) => {
            format!("{key} is a table; write its flags above all tables, without a table")
        }
        (None, _) => {
            format!("there is no flag {key}; use the long name of a flag in `driver --help`")
        }
    }
}

/// Explains which type of value the flag takes.
pub(super) fn wrong_type(flag: &Arg) -> String {
    let name = flag.get_long().unwrap_or_default();
    let takes = match (is_switch(flag), is_list(flag)) {
        (true, _) => "true or false",
        (_, true) => "a number, a text, or a list of them",
        _ => "a number or a text",
    };
    format!(
        "{name} takes {takes}; write for instance {name} = {}",
        example(flag)
    )
}

/// Returns a number or a text as on a command line.
pub(super) fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

/// True if a flag takes several values.
pub(super) fn is_list(flag: &Arg) -> bool {
    matches!(flag.get_action(), ArgAction::Append)
}

/// A value that the flag takes, in TOML: its default, or a placeholder.
fn example(flag: &Arg) -> String {
    if is_switch(flag) {
        return "true".to_owned();
    }
    let default = flag.get_default_values().first();
    let name = flag.get_value_names().and_then(|names| names.first());
    let value = default.map(|value| value.to_string_lossy().into_owned());
    let value = quoted(
        &value
            .or_else(|| name.map(ToString::to_string))
            .unwrap_or_default(),
    );
    match is_list(flag) {
        true => format!("[{value}]"),
        false => value,
    }
}

/// Returns a value in TOML: a number as it is, and anything else in quotes.
fn quoted(value: &str) -> String {
    match value.contains(['\\', '"']) {
        _ if value.parse::<f64>().is_ok_and(f64::is_finite) => value.to_owned(),
        true => format!("'{value}'"),
        false => format!("\"{value}\""),
    }
}
