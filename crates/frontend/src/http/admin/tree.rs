//! A JSON text as a tree of values. Bodies of the admin API are small.

use serde_json::{Map, Number, Value};

use crate::http::scan::{self, Kind, Scanner, Syntax};

/// Reads a text. Of several members with one name the first counts, as in RapidJSON.
pub(in crate::http) fn read(text: &[u8]) -> Result<Value, Syntax> {
    Scanner::new(text).document(value)
}

fn value(scanner: &mut Scanner<'_>) -> Result<Value, Syntax> {
    let kind = scanner.kind();
    match kind {
        Kind::Object => {
            let mut map = Map::new();
            scanner.members(|scanner, name| {
                let value = value(scanner)?;
                map.entry(text(name)).or_insert(value);
                Ok(())
            })?;
            Ok(Value::Object(map))
        }
        Kind::Array => {
            let mut array = Vec::new();
            scanner.elements(|scanner| {
                array.push(value(scanner)?);
                Ok(())
            })?;
            Ok(Value::Array(array))
        }
        Kind::String => {
            let mut string = Vec::new();
            scanner.string(|part| string.extend_from_slice(part))?;
            Ok(Value::String(text(&string)))
        }
        Kind::Number => {
            let number = match scanner.number()? {
                scan::Number::Integer(integer) => Number::from_i128(integer),
                scan::Number::Double(double) => Number::from_f64(double),
            };
            Ok(number.map_or(Value::Null, Value::Number))
        }
        Kind::Null | Kind::True | Kind::False => {
            scanner.skip()?;
            Ok(match kind {
                Kind::Null => Value::Null,
                other => Value::Bool(other == Kind::True),
            })
        }
    }
}

/// RapidJSON passes on bytes that are no UTF-8; here they become replacement characters.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
