//! Tensors of the Open Inference Protocol: decodes rows to inputs and encodes outputs as rows.
//! Numbers are little-endian.

use std::fmt;

use model::DataType;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, SeqAccess, Visitor},
};

use serde_json::{Value, json};

use super::shape::{Nesting, TensorHead, TensorSpec, datatype};
use crate::query_result::QueryResult;

/// An input tensor of a request. Its data are in the JSON or in the binary part of the body.
#[derive(Debug, Deserialize)]
pub(super) struct InputTensor {
    datatype: String,
    shape: Vec<usize>,
    #[serde(default)]
    pub(super) parameters: TensorParameters,
    data: Option<TensorData>,
}

/// The supported parameters of a request, an input and an output.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct TensorParameters {
    /// Size of an input in the binary part, in bytes.
    pub(super) binary_data_size: Option<usize>,
    /// True if an output is requested in the binary part.
    pub(super) binary_data: Option<bool>,
    /// Default of `binary_data` for all outputs.
    pub(super) binary_data_output: Option<bool>,
}

/// Elements in row-major order, and the nesting of their lists.
#[derive(Debug, Default)]
struct TensorData {
    numbers: Vec<f64>,
    texts: Vec<String>,
    nesting: Nesting,
}

/// The decoded rows of an input tensor.
#[derive(Debug)]
pub(in crate::http) struct InputRows {
    /// The tensor's datatype and shape in the request.
    pub(super) head: TensorHead,
    /// The elements of each row, in wire format.
    pub(in crate::http) inputs: Vec<Vec<u8>>,
}

/// The output tensor of an answer.
#[derive(Debug)]
pub(in crate::http) struct OutputTensor {
    pub(super) data_type: DataType,
    pub(super) rows: usize,
    /// Number of elements of a row.
    pub(super) width: usize,
    /// The elements in the protocol's binary format.
    pub(super) bytes: Vec<u8>,
}

impl InputTensor {
    /// Decodes one input per row, the first dimension. `binary` is the part of the body after the
    /// JSON.
    ///
    /// # Errors
    /// If the tensor does not match the spec, or its data do not match its datatype and shape.
    pub(super) fn rows(self, spec: &TensorSpec, binary: &[u8]) -> Result<InputRows, String> {
        let head = TensorHead {
            datatype: self.datatype,
            shape: self.shape,
        };
        let (rows, width) = head.dimensions()?;
        let is_bytes = head.datatype == "BYTES";
        if is_bytes && width != 1 {
            return Err("a row of BYTES must have one element".into());
        }
        spec.check(&head)?;
        let inputs = match (self.parameters.binary_data_size, self.data) {
            (Some(size), None) => {
                let data = binary.get(..size).filter(|data| data.len() == binary.len());
                let data = data.ok_or("binary_data_size is not the size of the data")?;
                match is_bytes {
                    true => prefixed(data, rows),
                    false => cut(data, rows, width * spec.data_type.element_size()),
                }
            }
            (None, Some(data)) => {
                data.nesting.check(&head.shape)?;
                data.rows(spec.data_type, rows, width)
            }
            (Some(_), Some(_)) => {
                Err("an input must have either data or binary_data_size, not both".into())
            }
            (None, None) => Err("there are no data".into()),
        }?;
        if spec.has_rows_as_elements(&head) {
            check_lengths(&inputs, spec)?;
        }
        Ok(InputRows { head, inputs })
    }
}

/// Splits binary data into `rows` rows of `size` bytes each.
fn cut(data: &[u8], rows: usize, size: usize) -> Result<Vec<Vec<u8>>, String> {
    match rows * size == data.len() {
        true => Ok(data.chunks(size).map(<[u8]>::to_vec).collect()),
        false => {
            let found = data.len();
            Err(format!(
                "the data have {found} bytes, and the shape requires {}",
                rows * size
            ))
        }
    }
}

/// Refuses inputs whose number of bytes is not that of the spec's row, if that is fixed.
fn check_lengths(inputs: &[Vec<u8>], spec: &TensorSpec) -> Result<(), String> {
    let expected = spec.shape.row_elements();
    match inputs
        .iter()
        .find(|input| expected.is_some_and(|expected| input.len() != expected))
    {
        Some(other) => Err(format!(
            "the model takes the shape {}, and an element of BYTES has {} bytes",
            spec.shape,
            other.len()
        )),
        None => Ok(()),
    }
}

/// Splits elements of any length, each preceded by its length in four bytes.
fn prefixed(mut data: &[u8], rows: usize) -> Result<Vec<Vec<u8>>, String> {
    let mut elements = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let cut = "an element of BYTES is longer than its data";
        let (element, rest) = rest.split_at_checked(length).ok_or(cut)?;
        elements.push(element.to_vec());
        data = rest;
    }
    if elements.len() != rows || !data.is_empty() {
        return Err(format!("there are {} elements, not {rows}", elements.len()));
    }
    Ok(elements)
}

impl TensorData {
    fn rows(self, wanted: DataType, rows: usize, width: usize) -> Result<Vec<Vec<u8>>, String> {
        let elements = rows * width;
        let TensorData { numbers, texts, .. } = self;
        if numbers.len() + texts.len() != elements {
            let found = numbers.len() + texts.len();
            return Err(format!("there are {found} elements, not {elements}"));
        }
        if !texts.is_empty() {
            let are_texts = matches!(wanted, DataType::Strings | DataType::Bytes);
            if !are_texts || !numbers.is_empty() || width != 1 {
                return Err(format!("data must be {}", datatype(wanted)));
            }
            return Ok(texts.into_iter().map(String::into_bytes).collect());
        }
        let rows = numbers.chunks(width).map(|row| {
            let mut bytes = Vec::with_capacity(width * wanted.element_size());
            let taken = row
                .iter()
                .try_for_each(|value| push(wanted, *value, &mut bytes));
            taken.map(|()| bytes)
        });
        let rows: Option<Vec<_>> = rows.collect();
        rows.ok_or_else(|| format!("data must be {}", datatype(wanted)))
    }
}

/// Appends a number. Returns `None` if the type cannot hold it.
fn push(data_type: DataType, value: f64, bytes: &mut Vec<u8>) -> Option<()> {
    let within = |low: f64, high: f64| value.fract() == 0.0 && (low..=high).contains(&value);
    match data_type {
        DataType::Bytes if within(0.0, 255.0) => bytes.push(value as u8),
        DataType::Ints if within(i32::MIN.into(), i32::MAX.into()) => {
            bytes.extend((value as i32).to_le_bytes());
        }
        DataType::Floats if (value as f32).is_finite() => {
            bytes.extend((value as f32).to_le_bytes());
        }
        DataType::Doubles => bytes.extend(value.to_le_bytes()),
        _ => return None,
    }
    Some(())
}

impl OutputTensor {
    /// Encodes one row per answer.
    pub(in crate::http) fn of(answers: &[QueryResult<'_>]) -> Result<OutputTensor, String> {
        let output_type = answers.first().map_or(DataType::Bytes, |a| a.output_type);
        if answers.iter().any(|other| other.output_type != output_type) {
            return Err("the model's outputs have different types".into());
        }
        let mut bytes = Vec::new();
        let mut width = 1;
        if output_type == DataType::Strings {
            for QueryResult { output, .. } in answers {
                let length = u32::try_from(output.len()).map_err(|_| "an output is too large")?;
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.extend_from_slice(output);
            }
        } else {
            let size = answers.first().map_or(0, |answer| answer.output.len());
            if answers.iter().any(|other| other.output.len() != size) {
                return Err(
                    "the model's outputs have different lengths: send one row per request".into(),
                );
            }
            width = size / output_type.element_size();
            bytes = answers
                .iter()
                .flat_map(|a| &a.output[..])
                .copied()
                .collect();
        }
        Ok(OutputTensor {
            data_type: output_type,
            rows: answers.len(),
            width,
            bytes,
        })
    }

    /// Returns the elements as a flat list.
    pub(in crate::http) fn to_json(&self) -> Result<Value, String> {
        let (fours, _) = self.bytes.as_chunks();
        let (eights, _) = self.bytes.as_chunks();
        Ok(match self.data_type {
            DataType::Bytes => json!(self.bytes),
            DataType::Ints => fours.iter().map(|v| i32::from_le_bytes(*v)).collect(),
            DataType::Floats => fours.iter().map(|v| f32::from_le_bytes(*v)).collect(),
            DataType::Doubles => eights.iter().map(|v| f64::from_le_bytes(*v)).collect(),
            DataType::Strings => {
                let texts = prefixed(&self.bytes, self.rows)?.into_iter();
                let texts = texts.map(|text| String::from_utf8(text).ok()).collect();
                let texts: Option<Vec<String>> = texts;
                json!(texts.ok_or("an output is not UTF-8 text: request binary data")?)
            }
        })
    }
}

impl<'de> Deserialize<'de> for TensorData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TensorData, D::Error> {
        let mut data = TensorData::default();
        let elements = ElementVisitor {
            data: &mut data,
            depth: 0,
        };
        elements.deserialize(deserializer)?;
        Ok(data)
    }
}

/// Appends every element of a value nested `depth` lists deep to the data.
struct ElementVisitor<'a> {
    data: &'a mut TensorData,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ElementVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ElementVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers or strings, in lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let ElementVisitor { data, depth } = self;
        let mut length = 0;
        loop {
            let next = ElementVisitor {
                data: &mut *data,
                depth: depth + 1,
            };
            if list.next_element_seed(next)?.is_none() {
                break;
            }
            length += 1;
        }
        data.nesting.list(depth, length);
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.data.nesting.element(self.depth);
        self.data.numbers.push(value);
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.data.nesting.element(self.depth);
        self.data.texts.push(text.to_owned());
        Ok(())
    }
}
