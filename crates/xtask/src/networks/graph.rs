//! A network under construction: operations one after the other, with the shapes that they make.

use rand_distr::{Distribution, Normal};
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng};

use onnx::{
    AttributeProto, AttributeType, Dimension, DimensionProto, FLOAT, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, ShapeProto, TensorProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

/// A network from `images`, `[N, 3, side, side]`, to `features`, `[N, features]`; all float32.
pub(crate) struct Graph {
    name: &'static str,
    input: ValueInfoProto,
    output: Option<ValueInfoProto>,
    nodes: Vec<NodeProto>,
    parameters: Vec<Parameter>,
}

/// What flows from one operation to others: a name, and channels, height and width for each picture.
#[derive(Clone)]
pub(crate) struct Value {
    name: String,
    shape: [usize; 3],
}

/// What a window of a convolution or pooling does; height first, width second.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    kernel: [usize; 2],
    stride: usize,
    padding: [usize; 2],
}

impl Window {
    /// A square window that moves by one; unpadded.
    pub(crate) const fn square(side: usize) -> Window {
        Window::new(side, side)
    }

    /// A window that moves by one; unpadded.
    pub(crate) const fn new(height: usize, width: usize) -> Window {
        Window {
            kernel: [height, width],
            stride: 1,
            padding: [0; 2],
        }
    }

    /// Padded so that a window moving by one makes as many values as it takes.
    pub(crate) const fn padded(mut self) -> Window {
        self.padding = [self.kernel[0] / 2, self.kernel[1] / 2];
        self
    }

    /// Moves by `stride`.
    pub(crate) const fn stride(mut self, stride: usize) -> Window {
        self.stride = stride;
        self
    }

    /// Height and width of what comes out.
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

/// What ONNX calls an operation, and its constant arguments.
type Operation = (&'static str, Vec<AttributeProto>);

/// A parameter that is yet to be drawn.
struct Parameter {
    name: String,
    dims: Vec<usize>,
}

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
            parameters: Vec::new(),
        };
        (graph, images)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Number of parameters, all tensors together.
    pub(crate) fn parameters(&self) -> usize {
        self.parameters.iter().map(Parameter::len).sum()
    }

    /// A convolution with a bias, and ReLU.
    pub(crate) fn conv(&mut self, name: &str, channels: usize, window: Window, x: &Value) -> Value {
        let [height, width] = window.kernel;
        let inputs = self.with_parameters(name, x, &[channels, x.shape[0], height, width]);
        let [height, width] = window.sizes(x);
        let operation = ("Conv", window.attributes());
        let sum = self.node(name, operation, inputs, [channels, height, width]);
        self.relu(name, &sum)
    }

    /// A fully connected layer with a bias, and ReLU.
    pub(crate) fn dense(&mut self, name: &str, features: usize, x: &Value) -> Value {
        let inputs = self.with_parameters(name, x, &[features, x.shape.iter().product()]);
        let operation = ("Gemm", vec![integer("transB", 1)]);
        let sum = self.node(name, operation, inputs, [features, 1, 1]);
        self.relu(name, &sum)
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

    /// The channels of several values of one size, one after the other.
    pub(crate) fn concat(&mut self, name: &str, values: &[Value]) -> Value {
        let [_, height, width] = values[0].shape;
        let channels = values.iter().map(|value| value.shape[0]).sum();
        let inputs = values.iter().map(|value| value.name.clone()).collect();
        let operation = ("Concat", vec![integer("axis", 1)]);
        self.node(name, operation, inputs, [channels, height, width])
    }

    /// All values of a picture in one row.
    pub(crate) fn flatten(&mut self, name: &str, x: &Value) -> Value {
        let operation = ("Flatten", vec![integer("axis", 1)]);
        let shape = [x.shape.iter().product(), 1, 1];
        self.node(name, operation, vec![x.name.clone()], shape)
    }

    /// Ends the network: a flat value becomes its output.
    pub(crate) fn finish(mut self, x: &Value) -> Graph {
        let inputs = vec![x.name.clone()];
        let output = self.node("features", ("Identity", Vec::new()), inputs, x.shape);
        self.output = Some(value_info(&output.name, &output.shape[..1]));
        self
    }

    /// The network with random parameters: the same for the same seed.
    pub(crate) fn model(&self, seed: u64) -> ModelProto {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let initializer = self
            .parameters
            .iter()
            .map(|p| p.draw(&mut random))
            .collect();
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

    fn relu(&mut self, name: &str, x: &Value) -> Value {
        let operation = ("Relu", Vec::new());
        self.node(
            &format!("{name}.relu"),
            operation,
            vec![x.name.clone()],
            x.shape,
        )
    }

    fn pool(&mut self, name: &str, operation: Operation, window: Window, x: &Value) -> Value {
        let [height, width] = window.sizes(x);
        let shape = [x.shape[0], height, width];
        self.node(name, operation, vec![x.name.clone()], shape)
    }

    /// Declares a layer's weight and bias; the names of the operation's inputs.
    fn with_parameters(&mut self, name: &str, x: &Value, dims: &[usize]) -> Vec<String> {
        let [weight, bias] = [format!("{name}.weight"), format!("{name}.bias")];
        self.parameters.push(Parameter {
            name: weight.clone(),
            dims: dims.to_vec(),
        });
        self.parameters.push(Parameter {
            name: bias.clone(),
            dims: vec![dims[0]],
        });
        vec![x.name.clone(), weight, bias]
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
        });
        let name = name.into();
        Value { name, shape }
    }
}

impl Parameter {
    fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// He initialisation (He et al., 2015): weights are normal with variance `2 / inputs of a unit`, so that ReLU
    /// layers keep the size of what flows through them; biases, the tensors of one dimension, are zero.
    fn draw(&self, random: &mut Xoshiro256PlusPlus) -> TensorProto {
        let raw_data = if self.dims.len() == 1 {
            vec![0; 4 * self.len()]
        } else {
            let inputs: usize = self.dims[1..].iter().product();
            let deviation = (2.0 / inputs as f32).sqrt();
            let normal =
                Normal::new(0.0, deviation).expect("a deviation is finite: there are inputs");
            let values = normal.sample_iter(random).take(self.len());
            let mut bytes = Vec::with_capacity(4 * self.len());
            bytes.extend(values.flat_map(f32::to_le_bytes));
            bytes
        };
        TensorProto {
            dims: self.dims.iter().map(|&size| size as i64).collect(),
            data_type: FLOAT,
            name: self.name.clone(),
            raw_data: raw_data.into(),
            ..TensorProto::default()
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(seed: u64) -> Vec<f32> {
        let (mut graph, images) = Graph::new("tiny", 8);
        let x = graph.conv("conv", 128, Window::square(3), &images);
        assert_eq!(x.shape, [128, 6, 6]);
        let model = graph.model(seed);
        let weight = &model.graph.unwrap().initializer[0];
        assert_eq!(weight.name, "conv.weight");
        let (values, _) = weight.raw_data.as_chunks::<4>();
        values
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect()
    }

    #[test]
    fn weights_keep_the_size_of_what_flows_through_a_relu() {
        let weights = weights(1);
        let variance = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
        assert!(
            (variance * 27.0 - 2.0).abs() < 0.2,
            "27 inputs, variance {variance}"
        );
    }

    #[test]
    fn a_seed_gives_the_same_weights_again() {
        assert_eq!(weights(1), weights(1));
        assert_ne!(weights(1), weights(2));
    }
}
