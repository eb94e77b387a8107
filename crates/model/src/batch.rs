//! The inputs of one call of a model.

use crate::{DataType, InputError};

/// Element type of numeric inputs.
pub trait Numeric: Copy {
    /// The type of an input with such elements.
    const DATA_TYPE: DataType;

    /// Reads `row.len()` little-endian numbers from `bytes`, which must hold as many.
    fn read(bytes: &[u8], row: &mut [Self]);
}

impl Numeric for f32 {
    const DATA_TYPE: DataType = DataType::Floats;

    fn read(bytes: &[u8], row: &mut [f32]) {
        for (value, raw) in row.iter_mut().zip(bytes.as_chunks().0) {
            *value = f32::from_le_bytes(*raw);
        }
    }
}

impl Numeric for f64 {
    const DATA_TYPE: DataType = DataType::Doubles;

    fn read(bytes: &[u8], row: &mut [f64]) {
        for (value, raw) in row.iter_mut().zip(bytes.as_chunks().0) {
            *value = f64::from_le_bytes(*raw);
        }
    }
}

/// A batch of inputs of one type, each as the bytes received (little-endian elements).
///
/// The bytes may be unaligned, so they are never cast: [`Batch::copy_row`] copies them.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// The type of every input.
    pub data_type: DataType,
    /// The inputs, in the order of the predictions.
    pub inputs: Vec<&'a [u8]>,
}

impl Batch<'_> {
    /// Returns the number of inputs.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Returns whether the batch has no inputs.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Copies input `index` into `row`.
    ///
    /// # Errors
    /// If the batch has another type than the row, or the input does not hold `row.len()` numbers.
    pub fn copy_row<T: Numeric>(&self, index: usize, row: &mut [T]) -> Result<(), InputError> {
        let (bytes, wanted) = (self.inputs[index], T::DATA_TYPE);
        if self.data_type != wanted {
            return Err(InputError(format!(
                "this model takes {wanted}, not {}",
                self.data_type
            )));
        }
        let size = row.len() * wanted.element_size();
        if bytes.len() != size {
            return Err(InputError(format!(
                "an input must be {} {wanted} ({size} bytes), this one has {} bytes",
                row.len(),
                bytes.len()
            )));
        }
        T::read(bytes, row);
        Ok(())
    }

    /// Returns input `index` as text.
    ///
    /// # Errors
    /// If it is not UTF-8.
    pub fn text(&self, index: usize) -> Result<&str, InputError> {
        std::str::from_utf8(self.inputs[index])
            .map_err(|_| InputError("the input is not UTF-8 text".into()))
    }
}

/// Returns the number of elements of `data_type` in `bytes`.
///
/// # Errors
/// If the last element is incomplete.
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
    fn copies_rows_from_unaligned_bytes() {
        fn copied<T: Numeric + Default>(numbers: &[u8]) -> [T; 2] {
            let bytes = [&[0], numbers].concat();
            let batch = Batch {
                data_type: T::DATA_TYPE,
                inputs: vec![&bytes[1..]],
            };
            let mut row = [T::default(); 2];
            batch.copy_row(0, &mut row).expect("two numbers");
            row
        }
        let floats = [1.5_f32, -2.0];
        assert_eq!(
            copied::<f32>(&floats.map(f32::to_le_bytes).concat()),
            floats
        );
        let doubles = [1_700_000_997.5_f64, 0.1];
        assert_eq!(
            copied::<f64>(&doubles.map(f64::to_le_bytes).concat()),
            doubles
        );
    }

    #[test]
    fn rejects_inputs_of_another_length_or_type() {
        let bytes = [0; 12];
        let batch = |data_type| Batch {
            data_type,
            inputs: vec![&bytes[..]],
        };
        let error = batch(DataType::Floats).copy_row(0, &mut [0.0_f32; 2]);
        assert_eq!(
            error.expect_err("12 bytes are three floats").0,
            "an input must be 2 floats (8 bytes), this one has 12 bytes"
        );
        let error = batch(DataType::Doubles).copy_row(0, &mut [0.0_f64; 3]);
        assert_eq!(
            error.expect_err("12 bytes are no whole doubles").0,
            "an input must be 3 doubles (24 bytes), this one has 12 bytes"
        );
        let error = batch(DataType::Floats).copy_row(0, &mut [0.0_f64; 3]);
        assert_eq!(
            error.expect_err("floats are no doubles").0,
            "this model takes doubles, not floats"
        );
    }
}
