//! A network under construction: a sequence of operations with the shapes of their outputs.

use onnx::{
    AttributeProto, AttributeType, Dimension, DimensionProto, FLOAT, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, ShapeProto, TensorProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

use super::layer::Layer;

/// A network from `images`, `[N, 3, side, side]`, to `features`, `[N, features]`; all float32.
pub(crate) struct Graph {
    name: &'static str,
    input: ValueInfoProto,
    output: Option<ValueInfoProto>,
    nodes: Vec<NodeProto>,
    layers: Vec<Layer>,
}

/// The output of an operation: its name, and channels, height and width of one picture.
#[derive(Clone)]
pub(crate) struct Value {
    name: String,
    shape: [usize; 3],
}

/// Window of a convolution or pooling; height first, width second.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    kernel: [usize; 2],
    stride: usize,
    padding: [usize; 2],
}

impl Window {
    /// A square window with stride 1 and no padding.
    pub(crate) const fn square(side: usize) -> Window {
        Window::new(side, side)
    }

    /// A window with stride 1 and no padding.
    pub(crate) const fn new(height: usize, width: usize) -> Window {
        Window {
            kernel: [height, width],
            stride: 1,
            padding: [0; 2],
        }
    }

    /// Pads so that with stride 1 the output has the size of the input.
    pub(crate) const fn padded(mut self) -> Window {
        self.padding = [self.kernel[0] / 2, self.kernel[1] / 2];
        self
    }

    /// Sets the stride.
    pub(crate) const fn stride(mut self, stride: usize) -> Window {
        self.stride = stride;
        self
    }

    /// Height and width of the output.
    fn sizes(self, x: &Value) -> [usize; 2] {
        let [_, height, width] = x.shape;
        let size = |axis: usize, size| {
            (size + 2 * self.padding[axis] - self.kernel[axis]) / self.stride + 1
        };
        [size(0, height), size(1, width)]
    }

    fn attributes(self) -> Vec<AttributeProto> {
        let [top, left] = self.padding;
        vec![
            integers("kernel_shape", &self.kernel),
            integers("strides", &[self.stride; 2]),
            integers("pads", &[top, left, top, left]),
        ]
    }
}

/// ONNX name of an operation, with its constant arguments.
type Operation = (&'static str, Vec<AttributeProto>);

impl Graph {
    /// A network without operations, and its input.
    pub(crate) fn new(name: &'static str, side: usize) -> (Graph, Value) {
        let images = Value {
            name: "images".into(),
            shape: [3, side, side],
        };
        let graph = Graph {
            name,
            input: value_info(&images.name, &images.shape),
            output: None,
            nodes: Vec::new(),
            layers: Vec::new(),
        };
        (graph, images)
    }

    /// The layers with weights, in the order in which they were added.
    pub(crate) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// A convolution with a bias, and ReLU.
    pub(crate) fn conv(&mut self, name: &str, channels: usize, window: Window, x: &Value) -> Value {
        self.convolution(Layer::new(name, dims(channels, window, x)), window, x)
    }

    /// A convolution, batch normalisation, and ReLU: the layers `name.conv` and `name.bn` of a state dict.
    pub(crate) fn conv_norm(
        &mut self,
        name: &str,
        channels: usize,
        window: Window,
        x: &Value,
    ) -> Value {
        let layer = Layer::normalised(name, dims(channels, window, x));
        self.convolution(layer, window, x)
    }

    /// A fully connected layer with a bias, and ReLU.
    pub(crate) fn dense(&mut self, name: &str, features: usize, x: &Value) -> Value {
        let layer = Layer::new(name, vec![features, x.shape.iter().product()]);
        let operation = ("Gemm", vec![integer("transB", 1)]);
        self.weighted(layer, operation, x, [features, 1, 1])
    }

    /// The largest value in each window.
    pub(crate) fn max_pool(&mut self, name: &str, window: Window, x: &Value) -> Value {
        self.pool(name, ("MaxPool", window.attributes()), window, x)
    }

    /// The mean of each window, in which padding counts as zeros.
    pub(crate) fn average_pool(&mut self, name: &str, window: Window, x: &Value) -> Value {
        let mut attributes = window.attributes();
        attributes.push(integer("count_include_pad", 1));
        self.pool(name, ("AveragePool", attributes), window, x)
    }

    /// The mean of each channel.
    pub(crate) fn global_average_pool(&mut self, name: &str, x: &Value) -> Value {
        let operation = ("GlobalAveragePool", Vec::new());
        self.node(name, operation, vec![x.name.clone()], [x.shape[0], 1, 1])
    }

    /// Concatenates values of one height and width by channel.
    pub(crate) fn concat(&mut self, name: &str, values: &[Value]) -> Value {
        let [_, height, width] = values[0].shape;
        let channels = values.iter().map(|value| value.shape[0]).sum();
        let inputs = values.iter().map(|value| value.name.clone()).collect();
        let operation = ("Concat", vec![integer("axis", 1)]);
        self.node(name, operation, inputs, [channels, height, width])
    }

    /// Flattens each picture to one row.
    pub(crate) fn flatten(&mut self, name: &str, x: &Value) -> Value {
        let operation = ("Flatten", vec![integer("axis", 1)]);
        let shape = [x.shape.iter().product(), 1, 1];
        self.node(name, operation, vec![x.name.clone()], shape)
    }

    /// Makes a flat value the output of the network.
    pub(crate) fn finish(mut self, x: &Value) -> Graph {
        let inputs = vec![x.name.clone()];
        let output = self.node("features", ("Identity", Vec::new()), inputs, x.shape);
        self.output = Some(value_info(&output.name, &output.shape[..1]));
        self
    }

    /// The network with the weights of its layers.
    pub(crate) fn model(&self, initializer: Vec<TensorProto>) -> ModelProto {
        ModelProto {
            ir_version: 8,
            producer_name: "xtask".into(),
            graph: Some(GraphProto {
                node: self.nodes.clone(),
                name: self.name.into(),
                initializer,
                input: vec![self.input.clone()],
                output: self.output.iter().cloned().collect(),
            }),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 17,
            }],
        }
    }

    fn convolution(&mut self, layer: Layer, window: Window, x: &Value) -> Value {
        let [height, width] = window.sizes(x);
        let shape = [layer.outputs(), height, width];
        self.weighted(layer, ("Conv", window.attributes()), x, shape)
    }

    /// An operation on `x`, a weight and a bias; and ReLU.
    fn weighted(
        &mut self,
        layer: Layer,
        operation: Operation,
        x: &Value,
        shape: [usize; 3],
    ) -> Value {
        let name = layer.name().to_owned();
        let inputs = vec![x.name.clone(), layer.weight(), layer.bias()];
        self.layers.push(layer);
        let sum = self.node(&name, operation, inputs, shape);
        let operation = ("Relu", Vec::new());
        self.node(&format!("{name}.relu"), operation, vec![sum.name], shape)
    }

    fn pool(&mut self, name: &str, operation: Operation, window: Window, x: &Value) -> Value {
        let [height, width] = window.sizes(x);
        let shape = [x.shape[0], height, width];
        self.node(name, operation, vec![x.name.clone()], shape)
    }

    fn node(
        &mut self,
        name: &str,
        (op_type, attribute): Operation,
        input: Vec<String>,
        shape: [usize; 3],
    ) -> Value {
        self.nodes.push(NodeProto {
            input,
            output: vec![name.into()],
            name: name.into(),
            op_type: op_type.into(),
            attribute,
            domain: String::new(),
        });
        let name = name.into();
        Value { name, shape }
    }
}

/// The shape of the weight of a convolution.
fn dims(channels: usize, window: Window, x: &Value) -> Vec<usize> {
    let [height, width] = window.kernel;
    vec![channels, x.shape[0], height, width]
}

fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        i: value,
        r#type: AttributeType::Int.into(),
        ..AttributeProto::default()
    }
}

fn integers(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        ints: values.iter().map(|&value| value as i64).collect(),
        r#type: AttributeType::Ints.into(),
        ..AttributeProto::default()
    }
}

/// A float32 tensor of a batch of any length.
fn value_info(name: &str, shape: &[usize]) -> ValueInfoProto {
    let batch = Dimension::Name("N".into());
    let sizes = shape.iter().map(|&size| Dimension::Size(size as i64));
    let dim = [batch]
        .into_iter()
        .chain(sizes)
        .map(|value| DimensionProto { value: Some(value) })
        .collect();
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: FLOAT,
                shape: Some(ShapeProto { dim }),
            }),
        }),
    }
}
