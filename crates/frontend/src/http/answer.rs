//! Encodes answers as Clipper's JSON.

use std::io::Write;

use model::{DataType, Output};
use scheduler::DefaultReason;

use super::scan::{JsonKind, Number, Scanner, SyntaxError};
use crate::query_result::{QueryResult, QueryStatus};

/// Appends the answer to a query: `{"query_id":0,"output":1.0,"default":false}`.
pub(super) fn write(query_id: u64, result: &QueryResult<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"query_id\":");
    value(&query_id, out);
    out.extend_from_slice(b",\"output\":");
    output(result.output_type, &result.output, out);
    match explanation(&result.status) {
        None => out.extend_from_slice(b",\"default\":false}"),
        Some(why) => {
            out.extend_from_slice(b",\"default\":true,\"default_explanation\":");
            value(&why, out);
            out.push(b'}');
        }
    }
}

/// Returns the reason for a default output, in Clipper's words if Clipper has any.
fn explanation(status: &QueryStatus) -> Option<std::borrow::Cow<'_, str>> {
    Some(match status {
        QueryStatus::Ok => return None,
        QueryStatus::Default(DefaultReason::NoReplica) => {
            "No connected models found for query".into()
        }
        QueryStatus::Default(
            DefaultReason::TimedOutInQueue | DefaultReason::TimedOutAtReplica | DefaultReason::Shed,
        ) => "Failed to retrieve a prediction response within the specified latency SLO".into(),
        other => other.reason(),
    })
}

/// Appends an output. Clipper holds outputs as text and writes text that is JSON as JSON; numbers
/// are written as Clipper would write their text.
fn output(output_type: DataType, bytes: &[u8], out: &mut Vec<u8>) {
    let (fours, _) = bytes.as_chunks();
    let (eights, _) = bytes.as_chunks();
    match output_type {
        DataType::Strings => text(bytes, out),
        DataType::Bytes => list(bytes.iter(), out, value),
        DataType::Ints => list(
            fours.iter().map(|v| i32::from_le_bytes(*v)),
            out,
            |v, out| {
                value(&v, out);
            },
        ),
        DataType::Floats => {
            let floats = fours.iter().map(|v| f32::from_le_bytes(*v));
            if floats.clone().all(f32::is_finite) {
                list(floats, out, float);
            } else {
                not_json(output_type, bytes, out);
            }
        }
        DataType::Doubles => {
            let doubles = eights.iter().map(|v| f64::from_le_bytes(*v));
            if doubles.clone().all(f64::is_finite) {
                list(doubles, out, double);
            } else {
                not_json(output_type, bytes, out);
            }
        }
    }
}

/// Appends an output with infinite or NaN elements. JSON has no such numbers, so the output is a
/// string.
fn not_json(output_type: DataType, bytes: &[u8], out: &mut Vec<u8>) {
    let output = Output::read(output_type, bytes);
    value(&output.map(|o| o.to_text()).unwrap_or_default(), out);
}

fn list<T>(values: impl Iterator<Item = T>, out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(value, out);
    }
    out.push(b']');
}

fn text(bytes: &[u8], out: &mut Vec<u8>) {
    let begun = out.len();
    if Scanner::new(bytes)
        .document(|scanner| copy(scanner, out))
        .is_err()
    {
        out.truncate(begun);
        value(&String::from_utf8_lossy(bytes), out);
    }
}

/// Copies a value without white space and with its numbers in RapidJSON's form.
fn copy(scanner: &mut Scanner<'_>, out: &mut Vec<u8>) -> Result<(), SyntaxError> {
    let mut first = true;
    match scanner.kind() {
        JsonKind::Object => {
            out.push(b'{');
            scanner.members(|scanner, name| {
                comma(&mut first, out);
                value(&String::from_utf8_lossy(name), out);
                out.push(b':');
                copy(scanner, out)
            })?;
            out.push(b'}');
        }
        JsonKind::Array => {
            out.push(b'[');
            scanner.elements(|scanner| {
                comma(&mut first, out);
                copy(scanner, out)
            })?;
            out.push(b']');
        }
        JsonKind::String => {
            let mut text = Vec::new();
            scanner.string(|part| text.extend_from_slice(part))?;
            value(&String::from_utf8_lossy(&text), out);
        }
        JsonKind::Number => match scanner.number()? {
            Number::Integer(integer) => value(&integer, out),
            Number::Double(number) => double(number, out),
        },
        word => {
            scanner.skip()?;
            out.extend_from_slice(match word {
                JsonKind::True => b"true",
                JsonKind::False => b"false",
                _ => b"null",
            });
        }
    }
    Ok(())
}

fn comma(first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b',');
    }
}

fn float(number: f32, out: &mut Vec<u8>) {
    if plain(number.into()) {
        value(&number, out);
    } else {
        scientific(&format!("{number:e}"), out);
    }
}

fn double(number: f64, out: &mut Vec<u8>) {
    if plain(number) {
        value(&number, out);
    } else {
        scientific(&format!("{number:e}"), out);
    }
}

/// Returns true if serde_json and RapidJSON write the number alike.
fn plain(number: f64) -> bool {
    number == 0.0 || (1e-4..1e15).contains(&number.abs())
}

/// Appends a number like `-1.25e-7`, given in its shortest digits, in RapidJSON's form: without an
/// exponent from 1e-6 to 1e21.
fn scientific(shortest: &str, out: &mut Vec<u8>) {
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(positive) => ("-", positive),
        None => ("", mantissa),
    };
    out.extend_from_slice(sign.as_bytes());
    let digits = mantissa.replace('.', "");
    let missing = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    let written = match exponent {
        0..21 => {
            let whole = usize::try_from(exponent).unwrap_or_default() + 1;
            let fraction = digits.get(whole..).filter(|digits| !digits.is_empty());
            let zeros = missing(exponent + 1 - digits.len() as i32);
            let whole = digits.get(..whole).unwrap_or(&digits);
            format!("{whole}{zeros}.{}", fraction.unwrap_or("0"))
        }
        -6..0 => format!("0.{}{digits}", missing(-exponent - 1)),
        _ => format!("{mantissa}e{exponent}"),
    };
    out.extend_from_slice(written.as_bytes());
}

fn value(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    serde_json::to_writer(out.by_ref(), value).expect("text and numbers serialise to JSON");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(output_type: DataType, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        output(output_type, bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_json_text_as_json_and_other_text_as_string() {
        for (text, json) in [
            ("1.0", "1.0"),
            ("-1", "-1"),
            (" [1.50, 2 ]", "[1.5,2]"),
            (
                r#"{"b": "\u00e4\n", "a": [true, null]}"#,
                "{\"b\":\"\u{e4}\\n\",\"a\":[true,null]}",
            ),
            ("", r#""""#),
            ("cat", r#""cat""#),
            ("[1.0 2.0]", r#""[1.0 2.0]""#),
            ("say \"x\"", r#""say \"x\"""#),
            ("1e20", "100000000000000000000.0"),
            ("123456789e12", "123456789000000000000.0"),
            ("1.5e21", "1.5e21"),
            ("-1.25e-6", "-0.00000125"),
            ("1e-5", "0.00001"),
            ("1e-7", "1e-7"),
            ("12345678901234567890", "12345678901234567890"),
        ] {
            assert_eq!(written(DataType::Strings, text.as_bytes()), json, "{text}");
        }
    }

    #[test]
    fn writes_numbers_like_their_text() {
        for output in [
            Output::Floats(vec![1.0, -0.1, 3e-5, 1e16, 1.5e-9, 0.0]),
            Output::Doubles(vec![0.1, 1e15, 123_456_789_012_345_680.0]),
            Output::Floats(vec![f32::NAN, 1.0]),
            Output::Doubles(vec![f64::INFINITY]),
            Output::Ints(vec![-1, 7]),
            Output::Bytes(vec![0, 255]),
            Output::Floats(vec![]),
        ] {
            let mut bytes = Vec::new();
            output.write_to(&mut bytes);
            let as_text = written(DataType::Strings, output.to_text().as_bytes());
            assert_eq!(written(output.data_type(), &bytes), as_text);
        }
    }
}
