//! Builder of small networks, operation by operation.

use std::fs;

use onnx::{
    AttributeProto, AttributeType, Dimension, DimensionProto, FLOAT, GraphProto, INT64, Message,
    ModelProto, NodeProto, OperatorSetIdProto, ShapeProto, TensorProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

/// An ONNX file being built.
#[derive(Default)]
pub(crate) struct File {
    graph: GraphProto,
}

impl File {
    /// Starts a network with the input `images` of this shape; 0 leaves a dimension open.
    pub(crate) fn new(shape: [i64; 4]) -> File {
        let mut file = File::default();
        file.graph.input.push(port("images", &shape));
        file
    }

    pub(crate) fn node(
        mut self,
        kind: &str,
        inputs: &str,
        output: &str,
        attributes: &[(&str, &[i64])],
    ) -> File {
        let attribute = attributes
            .iter()
            .map(|&(name, values)| attribute(name, values));
        self.graph.node.push(NodeProto {
            op_type: kind.into(),
            name: output.into(),
            input: inputs.split(' ').map(str::to_owned).collect(),
            output: vec![output.into()],
            attribute: attribute.collect(),
            domain: String::new(),
        });
        self
    }

    /// Adds a weight whose values alternate around zero.
    pub(crate) fn weight(mut self, name: &str, dims: &[i64]) -> File {
        let count: i64 = dims.iter().product();
        let values = (0..count).map(|i| ((i * 7 % 11) - 5) as f32 / 8.0);
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: FLOAT,
            raw_data: values
                .flat_map(f32::to_le_bytes)
                .collect::<Vec<u8>>()
                .into(),
            ..TensorProto::default()
        });
        self
    }

    /// Adds a constant list of integers, such as a shape.
    pub(crate) fn integers(mut self, name: &str, values: &[i64]) -> File {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: INT64,
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    /// Adds a constant number.
    pub(crate) fn number(mut self, name: &str, value: f32) -> File {
        self.graph.initializer.push(TensorProto {
            name: name.into(),
            data_type: FLOAT,
            float_data: vec![value],
            ..TensorProto::default()
        });
        self
    }

    pub(crate) fn save(mut self, output: &str, shape: &[i64]) -> tempfile::NamedTempFile {
        self.graph.output.push(port(output, shape));
        let model = ModelProto {
            ir_version: 8,
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto {
                version: 17,
                ..OperatorSetIdProto::default()
            }],
            ..ModelProto::default()
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), model.encode_to_vec()).unwrap();
        file
    }
}

/// Makes an attribute with one integer or several, depending on its name.
fn attribute(name: &str, values: &[i64]) -> AttributeProto {
    let several = [
        "axes",
        "dilations",
        "kernel_shape",
        "pads",
        "perm",
        "strides",
    ]
    .contains(&name);
    let kind = if several {
        AttributeType::Ints
    } else {
        AttributeType::Int
    };
    AttributeProto {
        name: name.into(),
        i: if several { 0 } else { values[0] },
        ints: if several { values.to_vec() } else { Vec::new() },
        r#type: kind.into(),
        ..AttributeProto::default()
    }
}

fn port(name: &str, shape: &[i64]) -> ValueInfoProto {
    let dim = shape.iter().map(|&size| DimensionProto {
        value: Some(match size {
            0 => Dimension::Name("N".into()),
            size => Dimension::Size(size),
        }),
    });
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: FLOAT,
                shape: Some(ShapeProto { dim: dim.collect() }),
            }),
        }),
    }
}
