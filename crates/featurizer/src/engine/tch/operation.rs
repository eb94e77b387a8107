//! The ONNX operations that the libtorch engine supports: `Add`, `AveragePool`, `Concat`, `Conv`,
//! `Dropout` (as in evaluation), `Flatten`, `Gemm`, `GlobalAveragePool`, `Identity`, `MaxPool`,
//! `Relu` and `Transpose`.
//!
//! Source: <https://onnx.ai/onnx/operators/>. An unsupported attribute is an error, never ignored.

use std::collections::HashMap;

use onnx::{AttributeProto, DataLocation, NodeProto, TensorProto};
use tch::{Kind, TchError, Tensor};

/// An operation, with its constant arguments.
pub(super) enum TorchOperation {
    Convolution {
        weight: Tensor,
        bias: Option<Tensor>,
        window: SlidingWindow,
        groups: i64,
        relu: bool,
    },
    /// `x · weightᵀ + bias`
    Dense {
        weight: Tensor,
        bias: Option<Tensor>,
        relu: bool,
    },
    MaxPool(SlidingWindow),
    /// The mean of each window; true if padding counts in it.
    AveragePool(SlidingWindow, bool),
    GlobalAveragePool,
    Concat(i64),
    Add,
    Relu,
    Flatten,
    Transpose(Vec<i64>),
    Identity,
}

/// Window of a convolution or pooling, with height first and width second.
pub(super) struct SlidingWindow {
    size: Vec<i64>,
    stride: Vec<i64>,
    padding: Vec<i64>,
    dilation: Vec<i64>,
    ceil: bool,
}

impl TorchOperation {
    /// Reads a node. Also returns the names of its non-constant inputs.
    pub(super) fn read(
        node: &NodeProto,
        weights: &mut Weights,
    ) -> Result<(TorchOperation, Vec<String>), String> {
        let name = format!("the {} {:?}", node.op_type, node.name);
        let mut attributes = Attributes::read(node);
        let mut inputs = node.input.clone();
        if node.op_type == "Dropout" {
            inputs.truncate(1);
        }
        if let Some(constant) = inputs.iter().skip(1).find(|input| weights.has(input))
            && !matches!(node.op_type.as_str(), "Conv" | "Gemm")
        {
            return Err(format!(
                "{name} has the constant input {constant:?}, which the tch engine does not support: omit --engine tch"
            ));
        }
        if !matches!(node.domain.as_str(), "" | "ai.onnx") {
            return Err(format!(
                "{name} has the operator domain {:?}, not ONNX's own",
                node.domain
            ));
        }
        let operation = match node.op_type.as_str() {
            "Conv" => convolution_of(&mut attributes, weights.take(&mut inputs)?)
                .map_err(|error| format!("{name}: {error}"))?,
            "Gemm" => dense_of(&mut attributes, weights.take(&mut inputs)?)
                .map_err(|error| format!("{name}: {error}"))?,
            "MaxPool" | "AveragePool" => pool_of(&mut attributes, node.op_type == "MaxPool")
                .map_err(|error| format!("{name}: {error}"))?,
            "GlobalAveragePool" => TorchOperation::GlobalAveragePool,
            "Concat" => TorchOperation::Concat(attributes.integer("axis", 1)),
            "Add" => TorchOperation::Add,
            "Relu" => TorchOperation::Relu,
            "Flatten" if attributes.integer("axis", 1) == 1 => TorchOperation::Flatten,
            "Transpose" => match attributes.integers("perm", 0) {
                order if order == [0, 0] => {
                    return Err(format!(
                        "{name} lacks `perm`, which the tch engine requires"
                    ));
                }
                order => TorchOperation::Transpose(order),
            },
            "Identity" => TorchOperation::Identity,
            "Dropout" => {
                attributes.0.clear();
                TorchOperation::Identity
            }
            _ => {
                return Err(format!(
                    "the tch engine does not support {name}: omit --engine tch"
                ));
            }
        };
        match attributes.0.keys().next() {
            Some(left) => Err(format!(
                "{name} has the attribute {left}, which the tch engine does not support"
            )),
            None => Ok((operation, inputs)),
        }
    }

    /// Fuses a ReLU into the operation if its output is a new tensor; returns whether it did.
    pub(super) fn fuse_relu(&mut self) -> bool {
        match self {
            TorchOperation::Convolution { relu, .. } | TorchOperation::Dense { relu, .. } => {
                *relu = true;
                true
            }
            _ => false,
        }
    }

    /// Computes the output for these inputs.
    pub(super) fn apply(&self, inputs: &[&Tensor]) -> Result<Tensor, TchError> {
        let [x, ..] = inputs else {
            return Err(TchError::Shape("an operation has no input".into()));
        };
        match self {
            TorchOperation::Convolution {
                weight,
                bias,
                window,
                groups,
                relu,
            } => {
                let sum = convolution(x, weight, bias.as_ref(), window, *groups)?;
                rectified(sum, *relu)
            }
            TorchOperation::Dense { weight, bias, relu } => {
                rectified(x.f_linear(weight, bias.as_ref())?, *relu)
            }
            TorchOperation::MaxPool(w) => {
                x.f_max_pool2d(&w.size, &w.stride, &w.padding, &w.dilation, w.ceil)
            }
            TorchOperation::AveragePool(w, padding_counts) => x.f_avg_pool2d(
                &w.size,
                &w.stride,
                &w.padding,
                w.ceil,
                *padding_counts,
                None,
            ),
            TorchOperation::GlobalAveragePool => x.f_adaptive_avg_pool2d([1, 1]),
            TorchOperation::Concat(axis) => Tensor::f_cat(inputs, *axis),
            TorchOperation::Add => x.f_add(inputs.get(1).copied().unwrap_or(x)),
            TorchOperation::Relu => x.f_relu(),
            TorchOperation::Flatten => x.f_flatten(1, -1),
            TorchOperation::Transpose(order) => x.f_permute(order),
            TorchOperation::Identity => Ok(x.shallow_clone()),
        }
    }
}

fn convolution_of(
    attributes: &mut Attributes,
    parameters: LayerParameters,
) -> Result<TorchOperation, String> {
    let LayerParameters { weight, bias } = parameters;
    Ok(TorchOperation::Convolution {
        window: attributes.window(weight.size().get(2..).unwrap_or_default())?,
        groups: attributes.integer("group", 1),
        weight,
        bias,
        relu: false,
    })
}

fn dense_of(
    attributes: &mut Attributes,
    parameters: LayerParameters,
) -> Result<TorchOperation, String> {
    let LayerParameters { weight, bias } = parameters;
    let plain = attributes.float("alpha") == 1.0 && attributes.float("beta") == 1.0;
    if !plain || attributes.integer("transA", 0) != 0 {
        return Err(
            "it scales or transposes its input, which the tch engine does not support".into(),
        );
    }
    let weight = match attributes.integer("transB", 0) {
        0 => weight.f_tr().map_err(|error| error.to_string())?,
        _ => weight,
    };
    Ok(TorchOperation::Dense {
        weight,
        bias,
        relu: false,
    })
}

fn pool_of(attributes: &mut Attributes, largest: bool) -> Result<TorchOperation, String> {
    let window = SlidingWindow {
        ceil: attributes.integer("ceil_mode", 0) == 1,
        ..attributes.window(&[])?
    };
    // It affects only the indices of the maxima, which are not used.
    attributes.integer("storage_order", 0);
    if largest {
        return Ok(TorchOperation::MaxPool(window));
    }
    if window.dilation != [1, 1] {
        return Err("the tch engine does not support dilations in AveragePool".into());
    }
    let padding_counts = attributes.integer("count_include_pad", 0) == 1;
    Ok(TorchOperation::AveragePool(window, padding_counts))
}

/// Convolves in full float32; by default a GPU would use its 19-bit format (TF32).
fn convolution(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    window: &SlidingWindow,
    groups: i64,
) -> Result<Tensor, TchError> {
    let (stride, padding, dilation) = (&window.stride, &window.padding, &window.dilation);
    let (transposed, benchmark, deterministic, cudnn, tf32) = (false, true, false, true, false);
    x.f_internal_convolution(
        weight,
        bias,
        stride,
        padding,
        dilation,
        transposed,
        [0, 0],
        groups,
        benchmark,
        deterministic,
        cudnn,
        tf32,
    )
}

fn rectified(mut x: Tensor, relu: bool) -> Result<Tensor, TchError> {
    if relu { x.f_relu_() } else { Ok(x) }
}

/// Weight and bias of a convolution or a fully connected layer.
struct LayerParameters {
    weight: Tensor,
    bias: Option<Tensor>,
}

/// The parameters of a network, by name.
pub(super) struct Weights {
    tensors: HashMap<String, TensorProto>,
    device: tch::Device,
}

impl Weights {
    pub(super) fn new(tensors: Vec<TensorProto>, device: tch::Device) -> Weights {
        let named = tensors.into_iter().map(|t| (t.name.clone(), t));
        Weights {
            tensors: named.collect(),
            device,
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Removes weight and bias, the second and third of a node's inputs, and returns their values.
    fn take(&mut self, inputs: &mut Vec<String>) -> Result<LayerParameters, String> {
        let names = inputs.split_off(inputs.len().min(1));
        let mut names = names.iter().filter(|name| !name.is_empty());
        let weight = names.next().ok_or("an operation has no weight")?;
        let weight = self.get(weight)?;
        let bias = names.next().map(|name| self.get(name)).transpose()?;
        Ok(LayerParameters { weight, bias })
    }

    fn get(&self, name: &str) -> Result<Tensor, String> {
        let tensor = self.tensors.get(name);
        let tensor = tensor.ok_or_else(|| format!("the weight {name:?} is not a constant"))?;
        if tensor.data_location == DataLocation::External as i32 {
            return Err(format!(
                "the weight {name:?} is in another file, which the tch engine does not read: omit --engine tch"
            ));
        }
        if tensor.data_type != onnx::FLOAT {
            return Err(format!("the weight {name:?} is not float32"));
        }
        let made = match tensor.float_data.is_empty() {
            false => Tensor::f_from_slice(&tensor.float_data),
            true if tensor.raw_data.len().is_multiple_of(4) => {
                let values = (tensor.raw_data.len() / 4) as i64;
                Tensor::f_from_data_size(&tensor.raw_data, &[values], Kind::Float)
            }
            true => return Err(format!("the weight {name:?} is truncated")),
        };
        made.and_then(|flat| flat.f_reshape(&tensor.dims)?.f_to_device(self.device))
            .map_err(|error| format!("the weight {name:?}: {error}"))
    }
}

/// The attributes of a node that are not read yet.
struct Attributes<'a>(HashMap<&'a str, &'a AttributeProto>);

impl Attributes<'_> {
    fn read(node: &NodeProto) -> Attributes<'_> {
        let attributes = node.attribute.iter();
        Attributes(attributes.map(|a| (a.name.as_str(), a)).collect())
    }

    fn integer(&mut self, name: &str, default: i64) -> i64 {
        self.0.remove(name).map_or(default, |attribute| attribute.i)
    }

    /// Reads a number whose default is 1.
    fn float(&mut self, name: &str) -> f32 {
        self.0.remove(name).map_or(1.0, |attribute| attribute.f)
    }

    fn integers(&mut self, name: &str, default: i64) -> Vec<i64> {
        let given = self.0.remove(name);
        given.map_or_else(|| vec![default; 2], |attribute| attribute.ints.clone())
    }

    /// Reads a two-dimensional window; `weight_size` is the default size, of a convolution's
    /// weight.
    fn window(&mut self, weight_size: &[i64]) -> Result<SlidingWindow, String> {
        let size = match self.0.remove("kernel_shape") {
            Some(attribute) => attribute.ints.clone(),
            None => weight_size.to_vec(),
        };
        let padding = match self.0.remove("pads").map(|attribute| &attribute.ints[..]) {
            None => vec![0, 0],
            Some(&[top, left, bottom, right]) if (top, left) == (bottom, right) => vec![top, left],
            Some(pads) => return Err(format!("padding {pads:?} differs between opposite sides")),
        };
        if let Some(pad) = self.0.remove("auto_pad")
            && !matches!(&pad.s[..], b"" | b"NOTSET")
        {
            return Err("the tch engine does not support automatic padding".into());
        }
        let window = SlidingWindow {
            size,
            stride: self.integers("strides", 1),
            padding,
            dilation: self.integers("dilations", 1),
            ceil: false,
        };
        let two = [&window.size, &window.stride, &window.dilation];
        match two.iter().all(|values| values.len() == 2) {
            true => Ok(window),
            false => Err("its window does not have two dimensions".into()),
        }
    }
}
