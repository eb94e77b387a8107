//! One output of a model.

use crate::{DataType, InputError, element_count};

/// The output for one input.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// 32-bit integers.
    Ints(Vec<i32>),
    /// Single-precision numbers.
    Floats(Vec<f32>),
    /// Double-precision numbers.
    Doubles(Vec<f64>),
    /// Text.
    Text(String),
}

impl Output {
    /// Returns the type on the wire.
    pub fn data_type(&self) -> DataType {
        match self {
            Output::Bytes(_) => DataType::Bytes,
            Output::Ints(_) => DataType::Ints,
            Output::Floats(_) => DataType::Floats,
            Output::Doubles(_) => DataType::Doubles,
            Output::Text(_) => DataType::Strings,
        }
    }

    /// Appends the elements as little-endian bytes.
    pub fn write_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Output::Bytes(values) => bytes.extend_from_slice(values),
            Output::Ints(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Output::Floats(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Output::Doubles(values) => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
            Output::Text(text) => bytes.extend_from_slice(text.as_bytes()),
        }
    }

    /// Reads elements of `data_type` from the little-endian bytes that
    /// [`write_to`](Output::write_to) writes.
    ///
    /// # Errors
    /// If the last element is incomplete, or text is not UTF-8.
    pub fn read(data_type: DataType, bytes: &[u8]) -> Result<Output, InputError> {
        element_count(data_type, bytes)?;
        let (fours, _) = bytes.as_chunks();
        let (eights, _) = bytes.as_chunks();
        Ok(match data_type {
            DataType::Bytes => Output::Bytes(bytes.to_vec()),
            DataType::Ints => Output::Ints(fours.iter().map(|v| i32::from_le_bytes(*v)).collect()),
            DataType::Floats => {
                Output::Floats(fours.iter().map(|v| f32::from_le_bytes(*v)).collect())
            }
            DataType::Doubles => {
                Output::Doubles(eights.iter().map(|v| f64::from_le_bytes(*v)).collect())
            }
            DataType::Strings => Output::Text(
                String::from_utf8(bytes.to_vec())
                    .map_err(|_| InputError("it is not UTF-8 text".into()))?,
            ),
        })
    }

    /// Returns the output as text, for protocols that have only text: numbers become a JSON array.
    pub fn to_text(&self) -> String {
        match self {
            Output::Bytes(values) => format!("{values:?}"),
            Output::Ints(values) => format!("{values:?}"),
            Output::Floats(values) => format!("{values:?}"),
            Output::Doubles(values) => format!("{values:?}"),
            Output::Text(text) => text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_become_little_endian_bytes_or_json_text() {
        let mut bytes = Vec::new();
        Output::Floats(vec![1.0, -0.5]).write_to(&mut bytes);
        assert_eq!(bytes, [0, 0, 0x80, 0x3f, 0, 0, 0, 0xbf]);
        assert_eq!(Output::Floats(vec![1.0, -0.5]).to_text(), "[1.0, -0.5]");
        assert_eq!(Output::Text("cat".into()).to_text(), "cat");
    }

    #[test]
    fn outputs_round_trip_and_incomplete_elements_are_errors() {
        for output in [
            Output::Bytes(vec![0, 255]),
            Output::Ints(vec![-1, 7]),
            Output::Floats(vec![1.5, -0.0]),
            Output::Doubles(vec![0.1]),
            Output::Text("r\u{e4}t".into()),
        ] {
            let mut bytes = Vec::new();
            output.write_to(&mut bytes);
            assert_eq!(Output::read(output.data_type(), &bytes), Ok(output));
        }
        assert!(Output::read(DataType::Floats, &[0; 6]).is_err());
        assert!(Output::read(DataType::Strings, &[0xff]).is_err());
    }
}
