//! VGG-16 (configuration D) up to the ReLU after its second fully connected layer.
//!
//! Source: Simonyan and Zisserman (2015), table 1. The parameters have torchvision's names.

use super::{
    graph::{Graph, Window},
    network::Network,
};

/// VGG-16; torchvision's last layer is left out.
pub(crate) const NETWORK: Network = Network {
    name: "vgg",
    torchvision: "vgg16",
    graph,
    architecture: ::vgg::VGG,
    unused: &["classifier.6."],
    classifier: "svm.safetensors",
    seed: 1,
};

/// Channels and number of the convolutions of each block; a pooling follows each.
const BLOCKS: [(usize, usize); 5] = [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)];

/// The network, from `[N, 3, 224, 224]` to `[N, 4096]`.
fn graph() -> Graph {
    let (mut graph, mut x) = Graph::new("vgg", 224);
    // torchvision numbers convolutions, ReLUs and poolings in one sequence.
    let mut layer = 0;
    for (channels, convolutions) in BLOCKS {
        for _ in 0..convolutions {
            let name = format!("features.{layer}");
            x = graph.conv(&name, channels, Window::square(3).padded(), &x);
            layer += 2;
        }
        let halving = Window::square(2).stride(2);
        x = graph.max_pool(&format!("features.{layer}"), halving, &x);
        layer += 1;
    }
    x = graph.flatten("flatten", &x);
    x = graph.dense("classifier.0", 4096, &x);
    x = graph.dense("classifier.3", 4096, &x);
    graph.finish(&x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vgg_has_the_parameter_count_of_the_paper() {
        // Configuration D has 138,357,544, of which the classifier's last layer, left out here, has 1000 x 4097.
        assert_eq!(NETWORK.parameters(), 138_357_544 - 1000 * 4097);
        assert_eq!(NETWORK.parameters(), 134_260_544);
    }
}
