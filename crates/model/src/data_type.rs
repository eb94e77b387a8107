//! The type of an input or an output, with Clipper's codes and names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The element type of an input or output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    /// Raw bytes, code 0.
    Bytes,
    /// `i32`, code 1; Clipper writes it "integers".
    #[serde(rename = "integers")]
    Ints,
    /// `f32`, code 2.
    #[default]
    Floats,
    /// `f64`, code 3.
    Doubles,
    /// UTF-8 text, code 4.
    Strings,
}

/// A name or code that is none of the five types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a valid input string")]
pub struct UnknownDataType(pub String);

impl DataType {
    /// All types, by ascending code.
    pub const ALL: [DataType; 5] = [
        DataType::Bytes,
        DataType::Ints,
        DataType::Floats,
        DataType::Doubles,
        DataType::Strings,
    ];

    /// Returns Clipper's code on the wire, 0 to 4.
    pub fn code(self) -> u32 {
        self as u32
    }

    /// Returns the type with this code.
    pub fn from_code(code: u32) -> Option<DataType> {
        DataType::ALL.get(usize::try_from(code).ok()?).copied()
    }

    /// Returns the bytes per element; 1 for strings, which are counted in bytes.
    pub fn element_size(self) -> usize {
        match self {
            DataType::Bytes | DataType::Strings => 1,
            DataType::Ints | DataType::Floats => 4,
            DataType::Doubles => 8,
        }
    }

    /// Returns the name that Clipper writes.
    pub fn name(self) -> &'static str {
        match self {
            DataType::Bytes => "bytes",
            DataType::Ints => "integers",
            DataType::Floats => "floats",
            DataType::Doubles => "doubles",
            DataType::Strings => "strings",
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DataType {
    type Err = UnknownDataType;

    /// Parses the names that Clipper accepts, including its abbreviations; case matters, as there.
    fn from_str(name: &str) -> Result<DataType, UnknownDataType> {
        match name {
            "bytes" | "byte" | "b" => Ok(DataType::Bytes),
            "integers" | "ints" | "integer" | "int" | "i" => Ok(DataType::Ints),
            "floats" | "float" | "f" => Ok(DataType::Floats),
            "doubles" | "double" | "d" => Ok(DataType::Doubles),
            "strings" | "string" | "str" | "strs" | "s" => Ok(DataType::Strings),
            other => Err(UnknownDataType(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_match_clipper() {
        let names: Vec<_> = DataType::ALL
            .iter()
            .map(|t| (t.code(), t.to_string()))
            .collect();
        let expected = ["bytes", "integers", "floats", "doubles", "strings"];
        for (code, name) in expected.iter().enumerate() {
            assert_eq!(names[code], (code as u32, (*name).to_owned()));
            assert_eq!(name.parse(), Ok(DataType::ALL[code]));
        }
        assert_eq!(DataType::from_code(5), None);
        assert_eq!(
            "Floats".parse::<DataType>(),
            Err(UnknownDataType("Floats".into()))
        );
    }
}
