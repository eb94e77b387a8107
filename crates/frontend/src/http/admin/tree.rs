//! Parses a JSON text into a tree of values, for the small bodies of the admin API.

use serde_json::{Map, Number, Value};

use crate::http::scan::{self, JsonKind, Scanner, SyntaxError};

/// Parses a text. Of several members with one name the first counts, as in RapidJSON.
pub(in crate::http) fn read(text: &[u8]) -> Result<Value, SyntaxError> {
    Scanner::new(text).document(value)
}

fn value(scanner: &mut Scanner<'_>) -> Result<Value, SyntaxError> {
    let kind = scanner.kind();
    match kind {
        JsonKind::Object => {
            let mut map = Map::new();
            scanner.members(|scanner, name| {
                let value = value(scanner)?;
                map.entry(text(name)).or_insert(value);
                Ok(())
            })?;
            Ok(Value::Object(map))
        }
        JsonKind::Array => {
            let mut array = Vec::new();
            scanner.elements(|scanner| {
                array.push(value(scanner)?);
                Ok(())
            })?;
            Ok(Value::Array(array))
        }
        JsonKind::String => {
            let mut string = Vec::new();
            scanner.string(|part| string.extend_from_slice(part))?;
            Ok(Value::String(text(&string)))
        }
        JsonKind::Number => {
            let number = match scanner.number()? {
                scan::Number::Integer(integer) => Number::from_i128(integer),
                scan::Number::Double(double) => Number::from_f64(double),
            };
            Ok(number.map_or(Value::Null, Value::Number))
        }
        JsonKind::Null | JsonKind::True | JsonKind::False => {
            scanner.skip()?;
            Ok(match kind {
                JsonKind::Null => Value::Null,
                other => Value::Bool(other == JsonKind::True),
            })
        }
    }
}

/// Converts bytes to text. Invalid UTF-8, which RapidJSON passes on, becomes replacement
/// characters.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
