//! The shapes of tensors: as a model declares them, as a request says, and as lists are nested.

use std::fmt;

use model::DataType;
use serde_json::{Value, json};

use super::super::shared::MOST_QUERIES;
use crate::declarations::Declared;

/// Bytes of a double.
const LARGEST_ELEMENT: usize = 8;

/// What elements of this type are called.
pub(super) fn datatype(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Bytes => "UINT8",
        DataType::Ints => "INT32",
        DataType::Floats => "FP32",
        DataType::Doubles => "FP64",
        DataType::Strings => "BYTES",
    }
}

/// The shape of a tensor of any number of rows; a dimension that is `None` may have any length.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TensorShape {
    /// The dimensions of a row.
    row: Vec<Option<usize>>,
}

/// A tensor that a model takes or answers, as far as that is known: metadata say it, and requests must be like it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::http) struct TensorSpec {
    pub(super) data_type: DataType,
    pub(super) shape: TensorShape,
    /// False before the first replica has joined: then the shape is not known, and nothing can be held against it.
    pub(super) is_declared: bool,
}

impl TensorSpec {
    /// What the inputs of an application's model are.
    pub(in crate::http) fn input(data_type: DataType, declared: Option<&Declared>) -> TensorSpec {
        let shape = declared.map_or(&[][..], |declared| &declared.input_shape);
        TensorSpec {
            data_type,
            shape: TensorShape::new(data_type, shape),
            is_declared: declared.is_some(),
        }
    }

    /// What its outputs are: text, if nothing is known of them.
    pub(super) fn output(declared: Option<&Declared>) -> TensorSpec {
        let data_type = declared.map_or(DataType::Strings, |declared| declared.output_type);
        TensorSpec {
            data_type,
            shape: TensorShape::new(data_type, &[]),
            is_declared: declared.is_some(),
        }
    }

    /// Refuses a tensor of another datatype, or of another shape than the declared one, with both of them.
    pub(super) fn check(&self, tensor: &Head) -> Result<(), String> {
        let wanted = datatype(self.data_type);
        if tensor.datatype != wanted && !self.is_in_elements(tensor) {
            return Err(format!("the model takes {wanted}, not {}", tensor.datatype));
        }
        let text = TensorShape::new(DataType::Strings, &[]);
        let declared = match self.is_in_elements(tensor) {
            true => &text,
            false => &self.shape,
        };
        let shape = &tensor.shape;
        match self.is_declared && !declared.fits(shape) {
            true => Err(format!(
                "the model takes the shape {declared}, not {shape:?}"
            )),
            false => Ok(()),
        }
    }

    /// Whether each row of bytes is one element of a tensor of BYTES: another way to say what a model takes.
    pub(super) fn is_in_elements(&self, tensor: &Head) -> bool {
        self.data_type == DataType::Bytes && tensor.datatype == "BYTES"
    }
}

impl TensorShape {
    /// The shape of rows that are declared like this; of text, a row is one element.
    fn new(data_type: DataType, row: &[usize]) -> TensorShape {
        let row = match (data_type, row) {
            (DataType::Strings, _) => vec![Some(1)],
            (_, []) => vec![None],
            (_, row) => row.iter().copied().map(Some).collect(),
        };
        TensorShape { row }
    }

    /// Elements of a row, if that is fixed.
    pub(super) fn row_elements(&self) -> Option<usize> {
        let mut dimensions = self.row.iter();
        dimensions.try_fold(1_usize, |elements, length| elements.checked_mul((*length)?))
    }

    /// As in metadata: -1 stands for any length.
    pub(super) fn to_json(&self) -> Value {
        let dimensions = std::iter::once(&None).chain(&self.row);
        dimensions.map(dimension).collect()
    }

    /// The dimensions of a row in JSON.
    pub(super) fn row_to_json(&self) -> Value {
        self.row.iter().map(dimension).collect()
    }

    fn fits(&self, shape: &[usize]) -> bool {
        let Some((_, row)) = shape.split_first() else {
            return false;
        };
        let fits = |(length, declared): (&usize, &Option<usize>)| {
            declared.is_none_or(|declared| declared == *length)
        };
        row.len() == self.row.len() && row.iter().zip(&self.row).all(fits)
    }
}

fn dimension(length: &Option<usize>) -> Value {
    length.map_or(json!(-1), |length| json!(length))
}

impl fmt::Display for TensorShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[-1")?;
        for length in &self.row {
            match length {
                Some(length) => write!(f, ", {length}")?,
                None => f.write_str(", -1")?,
            }
        }
        f.write_str("]")
    }
}

/// What a request says of a tensor.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) datatype: String,
    pub(super) shape: Vec<usize>,
}

impl Head {
    /// How many rows, and elements of each; their bytes can be counted in a `usize`.
    pub(super) fn dimensions(&self) -> Result<(usize, usize), String> {
        let (rows, rest) = self.shape.split_first().ok_or("the shape is empty")?;
        if self.shape.contains(&0) {
            return Err("a dimension of the shape is 0".into());
        }
        if *rows > MOST_QUERIES {
            return Err(format!("there are more than {MOST_QUERIES} rows"));
        }
        let multiplied = |size: usize, length: &usize| size.checked_mul(*length);
        let width = rest.iter().try_fold(1, multiplied);
        let width = width.filter(|width| {
            let bytes = width.checked_mul(LARGEST_ELEMENT);
            bytes.is_some_and(|bytes| bytes.checked_mul(*rows).is_some())
        });
        Ok((*rows, width.ok_or("the shape is too large")?))
    }
}

/// How lists stand in lists.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    /// The length of the lists at each depth, the outermost first; `None` before the first of them has ended.
    lengths: Vec<Option<usize>>,
    /// How many lists each element stands in.
    depth: Option<usize>,
    /// The lists make no tensor: they have different lengths at one depth, or elements beside lists.
    is_ragged: bool,
}

impl Nesting {
    /// An element that stands in so many lists.
    pub(super) fn element(&mut self, depth: usize) {
        self.is_ragged |= *self.depth.get_or_insert(depth) != depth;
    }

    /// A list of this length that itself stands in so many lists.
    pub(super) fn list(&mut self, depth: usize, length: usize) {
        if self.lengths.len() <= depth {
            self.lengths.resize(depth + 1, None);
        }
        self.is_ragged |= *self.lengths[depth].get_or_insert(length) != length;
    }

    /// Refuses lists that are neither one flat list nor nested as the shape says.
    pub(super) fn check(&self, shape: &[usize]) -> Result<(), String> {
        let lengths: Option<Vec<usize>> = self.lengths.iter().copied().collect();
        match lengths.unwrap_or_default() {
            _ if self.is_ragged => Err("data's lists are of different lengths or depths".into()),
            lengths if lengths.is_empty() => Err("data must be a list".into()),
            lengths if lengths.len() > 1 && lengths != shape => Err(format!(
                "data are nested as {lengths:?}, and the shape is {shape:?}"
            )),
            _ => Ok(()),
        }
    }
}
