//! Errors in a `--config` file, each in one line: the mistake and what to write instead.

use clap::{Arg, ArgAction};
use toml::de::{DeValue, Error as TomlError};

use super::arg_source::{ArgSource, is_switch};

/// Explains why the file is not TOML, from the line in which the parser stopped.
pub(super) fn not_toml(text: &str, error: &TomlError, args: &ArgSource) -> String {
    let span = error.span().unwrap_or_default();
    let message = error.message();
    if message == "duplicate key" {
        let key = &text[span.clone()];
        return duplicate(key, &text[..span.start]);
    }
    let line = without_comment(line_at(text, span.start));
    let (key, value) = match line.split_once('=') {
        Some((key, value)) => (key.trim(), value.trim()),
        None if message.starts_with("key with no value") => return no_equals(line, args),
        None => return other(message),
    };
    if message.starts_with("missing comma") && !value.starts_with('[') {
        return "the list above this line is not closed; end it with ]".to_owned();
    }
    let corrected = match value.chars().next() {
        None => {
            let value = example(args.flag(&key.replace('-', "_")));
            return format!("{key} has no value; write {key} = {value} or remove the line");
        }
        Some('[') => list_mistake(key, value),
        Some('"' | '\'') => unclosed_text(key, value),
        Some(_) => value_mistake(key, value, args),
    };
    corrected.unwrap_or_else(|| other(message))
}

/// Explains that no flag has the name `key`.
pub(super) fn unknown_key(key: &str, value: &DeValue<'_>, args: &ArgSource) -> String {
    let normal = |name: &str| name.to_lowercase().replace(['-', '_'], "");
    let wanted = normal(key);
    let names = || {
        args.flags()
            .filter_map(|flag| Some((flag, flag.get_long()?)))
    };
    let is_short = |flag: &Arg| {
        flag.get_short()
            .is_some_and(|short| key.trim_matches('-') == short.to_string())
    };
    let equal = names().find(|(flag, name)| normal(name) == wanted || is_short(flag));
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
pub(super) fn wrong_type(flag: &Arg, value: &DeValue<'_>) -> String {
    let name = flag.get_long().unwrap_or_default();
    let example = example(Some(flag));
    let kind = match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    match (is_switch(flag), is_list(flag), value) {
        (true, _, _) => format!("{name} takes true or false, not {kind}; write {name} = {example}"),
        (false, true, DeValue::Array(values)) if values.is_empty() => {
            format!("{name} is an empty list; write for instance {name} = {example}")
        }
        (false, true, DeValue::Array(_)) => {
            format!(
                "{name} takes a list of numbers or texts; write for instance {name} = {example}"
            )
        }
        (false, true, _) => format!(
            "{name} takes a number, a text or a list of them, not {kind}; write for instance {name} = {example}"
        ),
        (false, false, _) => format!(
            "{name} takes a number or a text, not {kind}; write for instance {name} = {example}"
        ),
    }
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
fn example(flag: Option<&Arg>) -> String {
    let Some(flag) = flag else {
        return "VALUE".to_owned();
    };
    if is_switch(flag) {
        return "true".to_owned();
    }
    let defaults = flag.get_default_values().iter();
    let mut values: Vec<_> = defaults
        .map(|value| quoted(&value.to_string_lossy()))
        .collect();
    if values.is_empty() {
        let names = flag.get_value_names().unwrap_or_default().iter();
        values.extend(names.map(|name| quoted(name)));
    }
    match is_list(flag) {
        true => format!("[{}]", values.join(", ")),
        false => values.join(", "),
    }
}

fn other(message: &str) -> String {
    let message = message.replace('\n', ", ");
    format!("not valid TOML ({message}); write NAME = VALUE, for instance seed = 1")
}

fn duplicate(key: &str, before: &str) -> String {
    let sets_key = |line: &str| {
        line.split('=')
            .next()
            .is_some_and(|name| name.trim() == key)
    };
    match before.lines().position(sets_key) {
        Some(line) => format!(
            "{key} is also set in line {}; remove one of the two lines",
            line + 1
        ),
        None => format!("{key} is set twice; remove one of the two lines"),
    }
}

/// Explains a line without `=`: `model_name: noop`, `seed 7` or `dry_run`.
fn no_equals(line: &str, args: &ArgSource) -> String {
    let line = line.trim();
    match line.split_once([':', ' ']) {
        Some((key, value)) => format!(
            "there is no = between key and value; write {key} = {}",
            quoted(value.trim())
        ),
        None => {
            let value = example(args.flag(&line.replace('-', "_")));
            format!("{line} has no value; write {line} = {value} or remove the line")
        }
    }
}

fn list_mistake(key: &str, value: &str) -> Option<String> {
    let list = list(value);
    let pieces = pieces(value);
    let what = match value.ends_with(']') {
        false => "the list has no closing bracket".to_owned(),
        true if pieces.iter().all(|piece| is_number(piece)) => "the list has no commas".to_owned(),
        true if pieces.iter().any(|piece| quoted(piece) != *piece) => {
            format!("a value of {key} is not quoted")
        }
        true => return None,
    };
    Some(format!("{what}; write {key} = {list}"))
}

fn unclosed_text(key: &str, value: &str) -> Option<String> {
    let quote = value.chars().next()?;
    let text = &value[1..];
    (!text.contains(quote)).then(|| {
        let value = quoted(text.trim());
        format!("the value of {key} has no closing quote; write {key} = {value}")
    })
}

/// Explains a value that begins neither a list nor a text.
fn value_mistake(key: &str, value: &str, args: &ArgSource) -> Option<String> {
    let boolean = match value.to_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    };
    let flag = args.flag(&key.replace('-', "_"));
    if let Some(boolean) = boolean.filter(|_| flag.is_some_and(is_switch)) {
        return Some(format!(
            "{key} takes true or false, in lower case; write {key} = {boolean}"
        ));
    }
    let pieces = pieces(value);
    if pieces.len() > 1 && pieces.iter().all(|piece| is_number(piece)) {
        return Some(format!(
            "several values need a list; write {key} = {}",
            list(value)
        ));
    }
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() && number.to_string() != value => Some(format!(
            "{value} is not a number in TOML; write {key} = {number}"
        )),
        Ok(number) if number.is_finite() => None,
        _ => {
            let value = quoted(value);
            Some(format!(
                "the value of {key} is not quoted; write {key} = {value}"
            ))
        }
    }
}

fn list(value: &str) -> String {
    let pieces: Vec<_> = pieces(value).into_iter().map(quoted).collect();
    format!("[{}]", pieces.join(", "))
}

fn pieces(list: &str) -> Vec<&str> {
    let list = list.trim_start_matches('[').trim_end_matches(']');
    let pieces = list.split([',', ' ']).filter(|piece| !piece.is_empty());
    pieces.collect()
}

/// Returns a value in TOML: a number as it is, and anything else in quotes.
fn quoted(value: &str) -> String {
    let bare = value.trim_matches(['"', '\'', '“', '”', '‘', '’']);
    match bare.contains(['\\', '"']) {
        _ if is_number(value) => value.to_owned(),
        true => format!("'{bare}'"),
        false => format!("\"{bare}\""),
    }
}

fn is_number(value: &str) -> bool {
    value.parse::<f64>().is_ok_and(f64::is_finite)
}

fn line_at(text: &str, offset: usize) -> &str {
    let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    text[start..].lines().next().unwrap_or_default()
}

/// Cuts a comment off, unless the line has quotes, in which `#` may belong to a text.
fn without_comment(line: &str) -> &str {
    match line.contains(['"', '\'']) {
        true => line,
        false => line.split('#').next().unwrap_or_default(),
    }
}
