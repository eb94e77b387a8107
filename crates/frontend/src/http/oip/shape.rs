//! Shapes of tensors: as a model declares them, as a request states them, and as lists are nested.

use std::fmt;

use model::DataType;
use serde_json::{Value, json};

use super::super::shared::MAX_QUERIES;
use crate::declarations::Declared;

/// Size of the largest element, a double, in bytes.
const LARGEST_ELEMENT: usize = 8;

/// Returns the protocol's name of an element type.
pub(super) fn datatype(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Bytes => "UINT8",
        DataType::Ints => "INT32",
        DataType::Floats => "FP32",
        DataType::Doubles => "FP64",
        DataType::Strings => "BYTES",
    }
}

/// The shape of a tensor with any number of rows. A dimension of `None` may have any length.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TensorShape {
    /// The dimensions of a row.
    row: Vec<Option<usize>>,
}

/// The known properties of a model's input or output tensor. Metadata return them, and requests
/// must match them.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::http) struct TensorSpec {
    pub(super) data_type: DataType,
    pub(super) shape: TensorShape,
    /// False before the first replica has registered: the shape is unknown then and not checked.
    pub(super) is_declared: bool,
}

impl TensorSpec {
    /// Returns the spec of the inputs of an application's model.
    pub(in crate::http) fn input(data_type: DataType, declared: Option<&Declared>) -> TensorSpec {
        let shape = declared.map_or(&[][..], |declared| &declared.input_shape);
        TensorSpec {
            data_type,
            shape: TensorShape::new(data_type, shape),
            is_declared: declared.is_some(),
        }
    }

    /// Returns the spec of its outputs: text, if nothing is declared.
    pub(super) fn output(declared: Option<&Declared>) -> TensorSpec {
        let data_type = declared.map_or(DataType::Strings, |declared| declared.output_type);
        TensorSpec {
            data_type,
            shape: TensorShape::new(data_type, &[]),
            is_declared: declared.is_some(),
        }
    }

    /// Refuses a tensor whose datatype or shape differs from the declared one. The error names
    /// both.
    pub(super) fn check(&self, tensor: &TensorHead) -> Result<(), String> {
        let wanted = datatype(self.data_type);
        if tensor.datatype != wanted && !self.has_rows_as_elements(tensor) {
            return Err(format!("the model takes {wanted}, not {}", tensor.datatype));
        }
        let text = TensorShape::new(DataType::Strings, &[]);
        let declared = match self.has_rows_as_elements(tensor) {
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

    /// Returns true if each row of bytes is one element of a BYTES tensor, an alternative form of
    /// the inputs of a model that takes bytes.
    pub(super) fn has_rows_as_elements(&self, tensor: &TensorHead) -> bool {
        self.data_type == DataType::Bytes && tensor.datatype == "BYTES"
    }
}

impl TensorShape {
    /// Returns the shape for a declared row. A row of text is one element.
    fn new(data_type: DataType, row: &[usize]) -> TensorShape {
        let row = match (data_type, row) {
            (DataType::Strings, _) => vec![Some(1)],
            (_, []) => vec![None],
            (_, row) => row.iter().copied().map(Some).collect(),
        };
        TensorShape { row }
    }

    /// Returns the number of elements of a row, if it is fixed.
    pub(super) fn row_elements(&self) -> Option<usize> {
        let mut dimensions = self.row.iter();
        dimensions.try_fold(1_usize, |elements, length| elements.checked_mul((*length)?))
    }

    /// Returns the shape for metadata, where -1 stands for any length.
    pub(super) fn to_json(&self) -> Value {
        let dimensions = std::iter::once(&None).chain(&self.row);
        dimensions.map(dimension).collect()
    }

    /// Returns the dimensions of a row in JSON.
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

/// The datatype and shape of a tensor in a request.
#[derive(Debug)]
pub(super) struct TensorHead {
    pub(super) datatype: String,
    pub(super) shape: Vec<usize>,
}

impl TensorHead {
    /// Returns the number of rows and of elements per row. The total of bytes fits in a `usize`.
    pub(super) fn dimensions(&self) -> Result<(usize, usize), String> {
        let (rows, rest) = self.shape.split_first().ok_or("the shape is empty")?;
        if self.shape.contains(&0) {
            return Err("a dimension of the shape is 0".into());
        }
        if *rows > MAX_QUERIES {
            return Err(format!("there are more than {MAX_QUERIES} rows"));
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

/// The nesting of the lists of a tensor's data.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    /// Length of the lists at each depth, outermost first. `None` until the first list of a depth
    /// ends.
    lengths: Vec<Option<usize>>,
    /// Number of lists around each element.
    depth: Option<usize>,
    /// True if the lists are no tensor: lengths differ at one depth, or elements stand beside
    /// lists.
    is_ragged: bool,
}

impl Nesting {
    /// Records an element with `depth` lists around it.
    pub(super) fn element(&mut self, depth: usize) {
        self.is_ragged |= *self.depth.get_or_insert(depth) != depth;
    }

    /// Records a list of this length with `depth` lists around it.
    pub(super) fn list(&mut self, depth: usize, length: usize) {
        if self.lengths.len() <= depth {
            self.lengths.resize(depth + 1, None);
        }
        self.is_ragged |= *self.lengths[depth].get_or_insert(length) != length;
    }

    /// Refuses lists that are neither one flat list nor nested like the shape.
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
