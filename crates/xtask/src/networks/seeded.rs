//! Random weights: the same state dict for the same seed.

use rand_distr::{Distribution, Normal, Uniform};
use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng};

use super::{layer::Layer, state_dict::StateDict};

/// Description of the scheme, for the artifact's provenance.
pub(crate) const SCHEME: &str = "He initialisation, random biases and batch statistics";

/// Draws every tensor that a state dict must have for `layers`.
///
/// He initialisation (He et al., 2015): weights are normal with variance `2 / inputs of an output`, so that ReLU layers
/// keep the scale of their input. Biases and means are near zero, gammas and variances of a normalisation near one;
/// each is far enough from these values that leaving it out changes the features.
pub(crate) fn draw(layers: &[Layer], seed: u64) -> StateDict {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut dict = StateDict::default();
    for layer in layers {
        for (name, shape) in layer.tensors() {
            let length = shape.iter().product();
            if name == layer.weight() {
                let weights = normal((2.0 / layer.inputs() as f32).sqrt());
                dict.insert(name, shape, weights.sample_iter(&mut random).take(length));
            } else if name.ends_with(".bias") || name.ends_with(".running_mean") {
                dict.insert(
                    name,
                    shape,
                    normal(0.1).sample_iter(&mut random).take(length),
                );
            } else {
                let around_one = Uniform::new(0.5, 1.5).expect("0.5 is below 1.5");
                dict.insert(
                    name,
                    shape,
                    around_one.sample_iter(&mut random).take(length),
                );
            }
        }
    }
    dict
}

fn normal(deviation: f32) -> Normal<f32> {
    Normal::new(0.0, deviation).expect("a deviation is finite: every layer has inputs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::networks::state_dict::f32s;

    fn drawn(name: &str, seed: u64) -> Vec<f32> {
        let layer = Layer::normalised("layer", vec![128, 3, 3, 3]);
        let dict = draw(&[layer], seed);
        f32s(&dict.floats(name).unwrap()).collect()
    }

    #[test]
    fn weights_keep_the_scale_of_activations() {
        let weights = drawn("layer.conv.weight", 1);
        let variance = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
        assert!(
            (variance * 27.0 - 2.0).abs() < 0.2,
            "27 inputs, variance {variance}"
        );
        let variances = drawn("layer.bn.running_var", 1);
        assert!(variances.iter().all(|v| (0.5..1.5).contains(v)));
    }

    #[test]
    fn a_seed_repeats_its_weights() {
        let weights = |seed| drawn("layer.conv.weight", seed);
        assert_eq!(weights(1), weights(1));
        assert_ne!(weights(1), weights(2));
    }
}
