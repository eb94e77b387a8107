//! The inputs of one call of a model.

use crate::{DataType, InputError};

/// A batch of inputs of one type, each as the bytes that came over the wire (little-endian elements).
///
/// The bytes may start at any address, so they are never cast: [`Batch::copy_floats`] copies them into place.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// The type of every input.
    pub data_type: DataType,
    /// The inputs, in the order in which they are answered.
    pub inputs: Vec<&'a [u8]>,
}

impl Batch<'_> {
    /// Number of inputs.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// True if there is nothing to predict.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Copies input `index`, which must hold exactly `row.len()` floats, into `row`.
    pub fn copy_floats(&self, index: usize, row: &mut [f32]) -> Result<(), InputError> {
        let bytes = self.inputs[index];
        if self.data_type != DataType::Floats {
            return Err(InputError(format!(
                "this model takes floats, not {}",
                self.data_type
            )));
        }
        if bytes.len() != row.len() * 4 {
            return Err(InputError(format!(
                "an input must be {} floats ({} bytes), this one has {} bytes",
                row.len(),
                row.len() * 4,
                bytes.len()
            )));
        }
        for (value, raw) in row.iter_mut().zip(bytes.chunks_exact(4)) {
            *value = f32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
        }
        Ok(())
    }

    /// Input `index` as text.
    pub fn text(&self, index: usize) -> Result<&str, InputError> {
        std::str::from_utf8(self.inputs[index])
            .map_err(|_| InputError("the input is not UTF-8 text".into()))
    }
}

/// Elements of `data_type` in `bytes`, or an error if they do not fill whole elements.
pub fn element_count(data_type: DataType, bytes: &[u8]) -> Result<usize, InputError> {
    let size = data_type.element_size();
    if !bytes.len().is_multiple_of(size) {
        return Err(InputError(format!(
            "{} bytes do not make whole {data_type} of {size} bytes",
            bytes.len()
        )));
    }
    Ok(bytes.len() / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_copied_from_any_address() {
        let mut bytes = vec![0_u8];
        for value in [1.5_f32, -2.0] {
            bytes.extend(value.to_le_bytes());
        }
        let batch = Batch {
            data_type: DataType::Floats,
            inputs: vec![&bytes[1..]],
        };
        let mut row = [0.0; 2];
        batch.copy_floats(0, &mut row).expect("two floats");
        assert_eq!(row, [1.5, -2.0]);
    }

    #[test]
    fn an_input_of_another_length_or_type_is_refused() {
        let bytes = [0; 12];
        let floats = |data_type| Batch {
            data_type,
            inputs: vec![&bytes[..]],
        };
        let mut row = [0.0; 2];
        let error = floats(DataType::Floats).copy_floats(0, &mut row);
        assert_eq!(
            error.expect_err("12 bytes are three floats").0,
            "an input must be 2 floats (8 bytes), this one has 12 bytes"
        );
        assert!(floats(DataType::Ints).copy_floats(0, &mut row).is_err());
    }
}
