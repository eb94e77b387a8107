//! Fields of a JSON body, and Clipper's error texts for missing fields and wrong types.

use model::{DataType, UnknownDataType};
use serde_json::Value;

/// Reason for the refusal of a body.
#[derive(Debug)]
pub(super) enum FieldError {
    /// The body does not match the schema.
    Schema(String),
    /// The input type is unknown.
    InputType(UnknownDataType),
}

impl From<String> for FieldError {
    fn from(text: String) -> FieldError {
        FieldError::Schema(text)
    }
}

/// JSON body. Callers read its fields in the order in which Clipper checks them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a Value);

impl<'a> Fields<'a> {
    fn get(self, key: &str) -> Result<&'a Value, String> {
        let object = self.0.as_object();
        let object = object.ok_or("Can only get key-value pair from an object")?;
        let missing = || format!("JSON object does not have required key: {key}");
        object.get(key).ok_or_else(missing)
    }

    pub(super) fn string(self, key: &str) -> Result<String, String> {
        let value = self.get(key)?;
        let string = value.as_str().ok_or_else(|| mismatch(key, "String", value));
        string.map(str::to_owned)
    }

    pub(super) fn strings(self, key: &str) -> Result<Vec<String>, String> {
        let value = self.get(key)?;
        let array = value.as_array();
        let array = array.ok_or_else(|| mismatch(key, "Array", value))?;
        let string = |element: &Value| {
            let wrong = || {
                format!(
                    "Array input of type {} is not of type string",
                    kind(element)
                )
            };
            element.as_str().map(str::to_owned).ok_or_else(wrong)
        };
        array.iter().map(string).collect()
    }

    pub(super) fn integer<T: TryFrom<i64>>(self, key: &str) -> Result<T, String> {
        let value = self.get(key)?;
        if !value.is_number() {
            return Err(mismatch(key, "Number", value));
        }
        let integer = value.as_i64().and_then(|integer| integer.try_into().ok());
        let wrong = "PredictionData of type Number is not of type int";
        integer.ok_or_else(|| wrong.to_owned())
    }

    pub(super) fn boolean(self, key: &str) -> Result<bool, String> {
        let value = self.get(key)?;
        let wrong = || {
            let found = kind(value);
            format!("Type mismatch! JSON key {key} expected type bool but found type {found}")
        };
        value.as_bool().ok_or_else(wrong)
    }

    pub(super) fn input_type(self, key: &str) -> Result<DataType, FieldError> {
        self.string(key)?.parse().map_err(FieldError::InputType)
    }
}

/// Clipper's text also lacks the space before "but".
fn mismatch(key: &str, expected: &str, found: &Value) -> String {
    let found = kind(found);
    format!("Type mismatch! JSON key {key} expected type {expected}but found type {found}")
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "Null",
        Value::Bool(false) => "False",
        Value::Bool(true) => "True",
        Value::Object(_) => "Object",
        Value::Array(_) => "Array",
        Value::String(_) => "String",
        Value::Number(_) => "Number",
    }
}
