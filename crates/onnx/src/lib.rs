//! Messages of an ONNX file: the part of onnx.proto that this project reads or writes.
//!
//! Source: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>, IR version 8. Decoding skips
//! all other fields. Decoding a [`ModelProto`] from [`Bytes`] copies no tensor:
//! [`TensorProto::raw_data`] shares the buffer.

pub use prost::{DecodeError, Message, bytes::Bytes};

/// An ONNX file.
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
    /// The versions of the operator sets that the network uses.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
}

/// The version of an operator set.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OperatorSetIdProto {
    /// The domain of the operators; ONNX's own is empty.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// The version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A network.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GraphProto {
    /// The operations, in topological order.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// The network's name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The parameters.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// The inputs; in older files they include the parameters.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// The outputs.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

/// One operation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NodeProto {
    /// The names of its inputs; an empty name is an omitted argument.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// The names of its outputs.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// The operation's own name.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The operator: `Conv`, `Relu`, ...
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// The constant arguments.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    /// The operator's domain; ONNX's own is empty.
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// A constant argument of an operation; `r#type` selects the field that holds the value.
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

/// The field of an [`AttributeProto`] that holds the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum AttributeType {
    /// None, or a field that is not read here.
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

/// A parameter or other constant, with values in `raw_data`, in the field of its type, or in
/// another file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorProto {
    /// The shape; empty for a single value.
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
    /// The location of external values: `location`, `offset` and `length`.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntryProto>,
    /// A [`DataLocation`].
    #[prost(enumeration = "DataLocation", tag = "14")]
    pub data_location: i32,
}

/// Location of the values of a [`TensorProto`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum DataLocation {
    /// In the tensor.
    Default = 0,
    /// In another file.
    External = 1,
}

/// A key and its value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StringStringEntryProto {
    /// The key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The value.
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
    /// Set for a tensor, and not for other types.
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
    /// `None` if neither size nor name is known.
    #[prost(oneof = "Dimension", tags = "1, 2")]
    pub value: Option<Dimension>,
}

/// A size, or the name of a size that is known only when the network runs.
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
    fn decoding_a_tensor_does_not_copy_its_values() {
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

    /// The bytes are what Python's onnx package writes for
    /// `TensorProto(dims=[2], data_type=1, float_data=[1, 2], name="w")`.
    #[test]
    fn packed_values_are_decoded() {
        let file = [8, 2, 16, 1, 34, 8, 0, 0, 128, 63, 0, 0, 0, 64, 66, 1, 119];
        let tensor = TensorProto::decode(&file[..]).unwrap();
        assert_eq!((tensor.dims, tensor.data_type), (vec![2], FLOAT));
        assert_eq!(
            (tensor.float_data, tensor.name),
            (vec![1.0, 2.0], "w".into())
        );
    }
}
