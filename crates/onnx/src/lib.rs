//! The messages of an ONNX file, as far as they are written or read here, with the tags of onnx.proto.
//!
//! Source: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>, IR version 8. What a file holds beyond them is
//! skipped when it is read. [`TensorProto::raw_data`] shares the bytes of the buffer that a [`ModelProto`] is decoded
//! from, if that is a [`Bytes`]: nothing is copied.

pub use prost::{DecodeError, Message, bytes::Bytes};

/// A file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelProto {
    /// The version of the format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// The program that made the file.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// The network.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// The versions of the operators, one for each set of them that is used.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
}

/// The version of the operators; an empty domain is ONNX's own.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OperatorSetIdProto {
    /// Whose operators.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Their version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A network.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GraphProto {
    /// The operations, each after those whose outputs it takes.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// The network's name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The parameters.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// The inputs. In older files the parameters are among them.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// The outputs.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

/// One operation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NodeProto {
    /// The names of the values that it takes; an empty one is an argument left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// The names of the values that it makes.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// The operation's own name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// What it does: `Conv`, `Relu`, ...
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Its constant arguments.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    /// Whose operation it is; empty is ONNX's own.
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// A constant argument of an operation; `r#type` says which of the fields counts.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeProto {
    /// The argument's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A number.
    #[prost(float, tag = "2")]
    pub f: f32,
    /// An integer.
    #[prost(int64, tag = "3")]
    pub i: i64,
    /// A text, in UTF-8.
    #[prost(bytes = "bytes", tag = "4")]
    pub s: Bytes,
    /// A tensor.
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    /// Several numbers.
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub floats: Vec<f32>,
    /// Several integers.
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// An [`AttributeType`].
    #[prost(enumeration = "AttributeType", tag = "20")]
    pub r#type: i32,
}

/// Which field of an [`AttributeProto`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum AttributeType {
    /// None, or one of a kind that is not read here.
    Undefined = 0,
    /// `f`.
    Float = 1,
    /// `i`.
    Int = 2,
    /// `s`.
    String = 3,
    /// `t`.
    Tensor = 4,
    /// `floats`.
    Floats = 6,
    /// `ints`.
    Ints = 7,
}

/// A parameter or another constant. Its values are in `raw_data`, in the field of its type, or in another file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorProto {
    /// The shape; no dimensions are a single value.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// The type of the values: [`FLOAT`], [`INT64`], ...
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// The values of a [`FLOAT`] tensor, if they are not in `raw_data`.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// The values of an [`INT64`] tensor, if they are not in `raw_data`.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// The tensor's name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// The values, little-endian, the last dimension fastest.
    #[prost(bytes = "bytes", tag = "9")]
    pub raw_data: Bytes,
    /// Where the values are, if `data_location` is external: `location`, `offset`, `length`.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntryProto>,
    /// A [`DataLocation`].
    #[prost(enumeration = "DataLocation", tag = "14")]
    pub data_location: i32,
}

/// Where the values of a [`TensorProto`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum DataLocation {
    /// In the tensor.
    Default = 0,
    /// In another file.
    External = 1,
}

/// A named text.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StringStringEntryProto {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The text.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// The code of float32 in `data_type` and `elem_type`.
pub const FLOAT: i32 = 1;

/// The code of 64-bit integers in `data_type` and `elem_type`.
pub const INT64: i32 = 7;

/// An input or output of the network.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ValueInfoProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

/// The type of an input or output.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TypeProto {
    /// Set for a tensor, and not for the other types that there are.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// Element type and shape.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorTypeProto {
    /// The type of the values: [`FLOAT`], [`INT64`], ...
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// The shape, if it is known.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<ShapeProto>,
}

/// A shape.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShapeProto {
    /// Its dimensions.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// One dimension of a shape.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DimensionProto {
    /// Nothing where even the name is open.
    #[prost(oneof = "Dimension", tags = "1, 2")]
    pub value: Option<Dimension>,
}

/// A size, or a name for one that is known when the network runs.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Dimension {
    /// A size.
    #[prost(int64, tag = "1")]
    Size(i64),
    /// A name.
    #[prost(string, tag = "2")]
    Name(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_a_tensor_copies_none_of_its_values() {
        let tensor = TensorProto {
            raw_data: vec![7; 1000].into(),
            ..TensorProto::default()
        };
        let file = Bytes::from(tensor.encode_to_vec());
        let read = TensorProto::decode(file.clone()).unwrap();
        assert!(
            file.as_ptr_range()
                .contains(&read.raw_data.as_ptr_range().start)
        );
    }

    /// As Python's onnx package writes it: `TensorProto(dims=[2], data_type=1, float_data=[1, 2], name="w")`.
    #[test]
    fn values_that_others_write_packed_are_read() {
        let file = [8, 2, 16, 1, 34, 8, 0, 0, 128, 63, 0, 0, 0, 64, 66, 1, 119];
        let tensor = TensorProto::decode(&file[..]).unwrap();
        assert_eq!((tensor.dims, tensor.data_type), (vec![2], FLOAT));
        assert_eq!(
            (tensor.float_data, tensor.name),
            (vec![1.0, 2.0], "w".into())
        );
    }
}
