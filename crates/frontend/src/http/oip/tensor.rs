//! Tensors of the Open Inference Protocol: rows to inputs, outputs to rows. Numbers are little-endian in both.

use std::fmt;

use model::DataType;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, SeqAccess, Visitor},
};

use serde_json::{Value, json};

use super::shape::{Head, Nesting, TensorSpec, datatype};
use crate::query_result::QueryResult;

/// A tensor of a request. Its data stand here, or in the body behind the JSON.
#[derive(Debug, Deserialize)]
pub(super) struct Input {
    datatype: String,
    shape: Vec<usize>,
    #[serde(default)]
    pub(super) parameters: Parameters,
    data: Option<Data>,
}

/// The parameters that mean something here.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Parameters {
    /// Bytes of an input behind the JSON.
    pub(super) binary_data_size: Option<usize>,
    /// Whether an output is wanted behind the JSON.
    pub(super) binary_data: Option<bool>,
    /// Whether all outputs are, where they do not say.
    pub(super) binary_data_output: Option<bool>,
}

/// Elements in row-major order, and the lists that they stood in.
#[derive(Debug, Default)]
struct Data {
    numbers: Vec<f64>,
    texts: Vec<String>,
    nesting: Nesting,
}

/// The rows of a request's tensor.
#[derive(Debug)]
pub(in crate::http) struct Rows {
    /// What the request said of them.
    pub(super) head: Head,
    /// The elements of each, as on the wire.
    pub(in crate::http) inputs: Vec<Vec<u8>>,
}

/// The answer's tensor.
#[derive(Debug)]
pub(in crate::http) struct Output {
    pub(super) data_type: DataType,
    pub(super) rows: usize,
    /// Elements of a row.
    pub(super) width: usize,
    /// As behind the JSON.
    pub(super) bytes: Vec<u8>,
}

impl Input {
    /// One input per row: the tensor's first dimension. `behind` is what stands behind the JSON.
    ///
    /// # Errors
    /// If the tensor is not what the spec declares, or its data are not what the tensor says.
    pub(super) fn rows(self, spec: &TensorSpec, behind: &[u8]) -> Result<Rows, String> {
        let head = Head {
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
                let data = behind.get(..size).filter(|data| data.len() == behind.len());
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
            (Some(_), Some(_)) => Err("there are data and a binary_data_size".into()),
            (None, None) => Err("there are no data".into()),
        }?;
        if spec.is_in_elements(&head) {
            check_lengths(&inputs, spec)?;
        }
        Ok(Rows { head, inputs })
    }
}

/// Binary data as so many rows of so many bytes.
fn cut(data: &[u8], rows: usize, size: usize) -> Result<Vec<Vec<u8>>, String> {
    match rows * size == data.len() {
        true => Ok(data.chunks(size).map(<[u8]>::to_vec).collect()),
        false => {
            let found = data.len();
            Err(format!("{found} bytes are not what the shape says"))
        }
    }
}

/// Refuses inputs that have not as many bytes as the spec's row, if that has a fixed number.
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

/// Elements of any length, each behind its length in four bytes.
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

impl Data {
    fn rows(self, wanted: DataType, rows: usize, width: usize) -> Result<Vec<Vec<u8>>, String> {
        let elements = rows * width;
        let Data { numbers, texts, .. } = self;
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

/// Appends a number, if it is one of the type.
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

impl Output {
    /// One row per answer.
    pub(in crate::http) fn of(answers: &[QueryResult<'_>]) -> Result<Output, String> {
        let output_type = answers.first().map_or(DataType::Bytes, |a| a.output_type);
        if answers.iter().any(|other| other.output_type != output_type) {
            return Err("the model's outputs are of different types".into());
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
                return Err("the model's outputs are of different lengths: ask for one row".into());
            }
            width = size / output_type.element_size();
            bytes = answers
                .iter()
                .flat_map(|a| &a.output[..])
                .copied()
                .collect();
        }
        Ok(Output {
            data_type: output_type,
            rows: answers.len(),
            width,
            bytes,
        })
    }

    /// The elements in a flat list.
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
                json!(texts.ok_or("an output is no UTF-8 text: ask for binary data")?)
            }
        })
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Data, D::Error> {
        let mut data = Data::default();
        let elements = Elements {
            data: &mut data,
            depth: 0,
        };
        elements.deserialize(deserializer)?;
        Ok(data)
    }
}

/// Appends every element to the data, in so many lists.
struct Elements<'a> {
    data: &'a mut Data,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers or strings, in lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Elements { data, depth } = self;
        let mut length = 0;
        loop {
            let next = Elements {
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
