//! A layer with weights: its tensors in a state dict, and the folded tensors of the network.

use anyhow::ensure;
use onnx::{Bytes, FLOAT, TensorProto};

use super::state_dict::{StateDict, bytes, f32s};

/// Epsilon of the batch normalisations in torchvision's inception_v3.
const EPS: f64 = 0.001;

/// A convolution or a fully connected layer, with a batch normalisation or a bias.
pub(crate) struct Layer {
    name: String,
    dims: Vec<usize>,
    norm: Option<String>,
}

impl Layer {
    /// A layer with a bias: `name.weight` and `name.bias` of a state dict; `dims` is the weight's shape, outputs first.
    pub(crate) fn new(name: &str, dims: Vec<usize>) -> Layer {
        let name = name.to_owned();
        let norm = None;
        Layer { name, dims, norm }
    }

    /// A layer without bias that is normalised: `name.conv.weight` and `name.bn.*` of a state dict.
    pub(crate) fn normalised(name: &str, dims: Vec<usize>) -> Layer {
        Layer {
            name: format!("{name}.conv"),
            dims,
            norm: Some(format!("{name}.bn")),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The name of the weight, in a state dict and in the network.
    pub(crate) fn weight(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// The name of the bias in the network; in a state dict too, if the layer is not normalised.
    pub(crate) fn bias(&self) -> String {
        format!("{}.bias", self.name)
    }

    /// Number of output channels or features.
    pub(crate) fn outputs(&self) -> usize {
        self.dims[0]
    }

    /// Number of input values of one output (fan-in).
    pub(crate) fn inputs(&self) -> usize {
        self.dims[1..].iter().product()
    }

    /// Number of parameters in the network: the weight and a bias.
    pub(crate) fn parameters(&self) -> usize {
        self.outputs() * (self.inputs() + 1)
    }

    /// Tensors that a state dict must have for this layer, with their shapes.
    pub(crate) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let vectors = match &self.norm {
            None => vec![self.bias()],
            Some(norm) => ["weight", "bias", "running_mean", "running_var"]
                .map(|part| format!("{norm}.{part}"))
                .into(),
        };
        let vectors = vectors.into_iter().map(|name| (name, vec![self.outputs()]));
        let weight = (self.weight(), self.dims.clone());
        [weight].into_iter().chain(vectors).collect()
    }

    /// The tensor that a state dict may have and that is ignored: the number of batches in training.
    pub(crate) fn counter(&self) -> Option<String> {
        let norm = self.norm.as_ref()?;
        Some(format!("{norm}.num_batches_tracked"))
    }

    /// Weight and bias for the network. A normalisation is folded into them: `gamma * (w x - mean) / sqrt(var + eps) +
    /// beta` is linear in `x`. That is computed in float64.
    pub(crate) fn fold(&self, dict: &StateDict) -> anyhow::Result<[TensorProto; 2]> {
        let weight = dict.floats(&self.weight())?;
        let [weight, bias] = match &self.norm {
            None => [weight, dict.floats(&self.bias())?],
            Some(norm) => self.fold_norm(norm, &weight, dict)?,
        };
        for values in [&weight, &bias] {
            ensure!(
                f32s(values).all(f32::is_finite),
                "{} has weights that are infinite or NaN, or a variance below zero",
                self.name
            );
        }
        Ok([
            tensor(self.weight(), &self.dims, weight),
            tensor(self.bias(), &[self.outputs()], bias),
        ])
    }

    fn fold_norm(&self, norm: &str, weight: &[u8], dict: &StateDict) -> anyhow::Result<[Bytes; 2]> {
        let vector = |part: &str| -> anyhow::Result<Vec<f64>> {
            let values = dict.floats(&format!("{norm}.{part}"))?;
            Ok(f32s(&values).map(f64::from).collect())
        };
        let [gamma, beta] = [vector("weight")?, vector("bias")?];
        let [mean, var] = [vector("running_mean")?, vector("running_var")?];
        let scale = gamma.iter().zip(&var);
        let scale: Vec<_> = scale
            .map(|(gamma, var)| gamma / (var + EPS).sqrt())
            .collect();
        let weight = f32s(weight).enumerate();
        let weight = weight.map(|(i, w)| (f64::from(w) * scale[i / self.inputs()]) as f32);
        let bias = beta.iter().zip(&mean).zip(&scale);
        let bias = bias.map(|((beta, mean), scale)| (beta - mean * scale) as f32);
        Ok([bytes(weight), bytes(bias)])
    }
}

fn tensor(name: String, dims: &[usize], raw_data: Bytes) -> TensorProto {
    TensorProto {
        dims: dims.iter().map(|&size| size as i64).collect(),
        data_type: FLOAT,
        name,
        raw_data,
        ..TensorProto::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_normalisation_is_folded_with_its_mean_and_epsilon() {
        let mut dict = StateDict::default();
        let mut insert = |name: &str, shape: &[usize], values: &[f32]| {
            dict.insert(name.into(), shape.to_vec(), values.iter().copied());
        };
        insert("c.conv.weight", &[2, 1, 1, 2], &[1.0, 2.0, 3.0, 4.0]);
        insert("c.bn.weight", &[2], &[3.0, 0.5]);
        insert("c.bn.bias", &[2], &[7.0, 1.0]);
        insert("c.bn.running_mean", &[2], &[5.0, -2.0]);
        // With epsilon: 1 and 0.25.
        insert("c.bn.running_var", &[2], &[0.999, 0.249]);
        let layer = Layer::normalised("c", vec![2, 1, 1, 2]);
        let [weight, bias] = layer.fold(&dict).unwrap();
        assert_eq!(
            (&*weight.name, &*bias.name),
            ("c.conv.weight", "c.conv.bias")
        );
        assert_eq!((weight.dims, bias.dims), (vec![2, 1, 1, 2], vec![2]));
        let near = |bytes: &[u8], expected: &[f32]| {
            let pairs = f32s(bytes).zip(expected);
            assert_eq!(bytes.len(), 4 * expected.len());
            pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} is not {b}"));
        };
        near(&weight.raw_data, &[3.0, 6.0, 3.0, 4.0]);
        near(&bias.raw_data, &[-8.0, 3.0]);
    }

    #[test]
    fn weights_that_are_not_finite_are_named() {
        let mut dict = StateDict::default();
        dict.insert("fc.weight".into(), vec![1, 2], [1.0, f32::NAN]);
        dict.insert("fc.bias".into(), vec![1], [0.0]);
        let error = Layer::new("fc", vec![1, 2]).fold(&dict).unwrap_err();
        assert!(error.to_string().starts_with("fc has weights"), "{error}");
    }
}
