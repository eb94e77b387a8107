//! Inception V3 up to its last pooling, as torchvision's `inception_v3` computes it in evaluation.
//!
//! Source: Szegedy et al. (2016), and torchvision/models/inception.py for what the paper leaves open. There each
//! convolution is followed by a batch normalisation, which is linear in evaluation: it is folded into the convolution.

use super::{
    graph::{Graph, Value, Window},
    network::Network,
};

/// Inception V3; torchvision's auxiliary classifier and last layer are left out.
pub(crate) const NETWORK: Network = Network {
    name: "inception",
    torchvision: "inception_v3",
    graph,
    architecture: ::inception::INCEPTION,
    unused: &["AuxLogits.", "fc."],
    classifier: "lgbm.txt",
    seed: 2,
};

/// The network, from `[N, 3, 299, 299]` to `[N, 2048]`.
fn graph() -> Graph {
    let (mut graph, images) = Graph::new("inception", 299);
    let mut x = stem(&mut graph, images);
    for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        x = Block::new(&mut graph, name, x).a(pooled);
    }
    x = Block::new(&mut graph, "Mixed_6a", x).b();
    let inner = [
        ("Mixed_6b", 128),
        ("Mixed_6c", 160),
        ("Mixed_6d", 160),
        ("Mixed_6e", 192),
    ];
    for (name, inner) in inner {
        x = Block::new(&mut graph, name, x).c(inner);
    }
    x = Block::new(&mut graph, "Mixed_7a", x).d();
    x = Block::new(&mut graph, "Mixed_7b", x).e();
    x = Block::new(&mut graph, "Mixed_7c", x).e();
    x = graph.global_average_pool("avgpool", &x);
    x = graph.flatten("flatten", &x);
    graph.finish(&x)
}

const ONE: Window = Window::square(1);
const THREE: Window = Window::square(3);
/// Padded windows keep the size of the picture.
const SAME_3: Window = THREE.padded();
const SAME_5: Window = Window::square(5).padded();
const HALVING: Window = THREE.stride(2);
const fn flat(width: usize) -> Window {
    Window::new(1, width).padded()
}
const fn tall(height: usize) -> Window {
    Window::new(height, 1).padded()
}

fn stem(graph: &mut Graph, images: Value) -> Value {
    let mut x = images;
    x = graph.conv_norm("Conv2d_1a_3x3", 32, HALVING, &x);
    x = graph.conv_norm("Conv2d_2a_3x3", 32, THREE, &x);
    x = graph.conv_norm("Conv2d_2b_3x3", 64, SAME_3, &x);
    x = graph.max_pool("maxpool1", HALVING, &x);
    x = graph.conv_norm("Conv2d_3b_1x1", 80, ONE, &x);
    x = graph.conv_norm("Conv2d_4a_3x3", 192, THREE, &x);
    graph.max_pool("maxpool2", HALVING, &x)
}

/// Several branches from one input; their outputs are concatenated by channel.
struct Block<'g> {
    graph: &'g mut Graph,
    name: &'static str,
    x: Value,
}

/// A convolution in a branch: its name in the block, its channels, its window.
type Layer = (&'static str, usize, Window);

impl<'g> Block<'g> {
    fn new(graph: &'g mut Graph, name: &'static str, x: Value) -> Block<'g> {
        Block { graph, name, x }
    }

    /// 35 x 35.
    fn a(mut self, pooled: usize) -> Value {
        let branches = [
            self.branch(&[("branch1x1", 64, ONE)]),
            self.branch(&[("branch5x5_1", 48, ONE), ("branch5x5_2", 64, SAME_5)]),
            self.branch(&[
                ("branch3x3dbl_1", 64, ONE),
                ("branch3x3dbl_2", 96, SAME_3),
                ("branch3x3dbl_3", 96, SAME_3),
            ]),
            self.pooled_branch(pooled),
        ];
        self.join(&branches)
    }

    /// From 35 x 35 to 17 x 17.
    fn b(mut self) -> Value {
        let branches = [
            self.branch(&[("branch3x3", 384, HALVING)]),
            self.branch(&[
                ("branch3x3dbl_1", 64, ONE),
                ("branch3x3dbl_2", 96, SAME_3),
                ("branch3x3dbl_3", 96, HALVING),
            ]),
            self.halved(),
        ];
        self.join(&branches)
    }

    /// 17 x 17.
    fn c(mut self, inner: usize) -> Value {
        let branches = [
            self.branch(&[("branch1x1", 192, ONE)]),
            self.branch(&[
                ("branch7x7_1", inner, ONE),
                ("branch7x7_2", inner, flat(7)),
                ("branch7x7_3", 192, tall(7)),
            ]),
            self.branch(&[
                ("branch7x7dbl_1", inner, ONE),
                ("branch7x7dbl_2", inner, tall(7)),
                ("branch7x7dbl_3", inner, flat(7)),
                ("branch7x7dbl_4", inner, tall(7)),
                ("branch7x7dbl_5", 192, flat(7)),
            ]),
            self.pooled_branch(192),
        ];
        self.join(&branches)
    }

    /// From 17 x 17 to 8 x 8.
    fn d(mut self) -> Value {
        let branches = [
            self.branch(&[("branch3x3_1", 192, ONE), ("branch3x3_2", 320, HALVING)]),
            self.branch(&[
                ("branch7x7x3_1", 192, ONE),
                ("branch7x7x3_2", 192, flat(7)),
                ("branch7x7x3_3", 192, tall(7)),
                ("branch7x7x3_4", 192, HALVING),
            ]),
            self.halved(),
        ];
        self.join(&branches)
    }

    /// 8 x 8; two of the branches end in two.
    fn e(mut self) -> Value {
        let one = self.branch(&[("branch1x1", 320, ONE)]);
        let three = self.branch(&[("branch3x3_1", 384, ONE)]);
        let double = self.branch(&[
            ("branch3x3dbl_1", 448, ONE),
            ("branch3x3dbl_2", 384, SAME_3),
        ]);
        let branches = [
            one,
            self.layer(&three, ("branch3x3_2a", 384, flat(3))),
            self.layer(&three, ("branch3x3_2b", 384, tall(3))),
            self.layer(&double, ("branch3x3dbl_3a", 384, flat(3))),
            self.layer(&double, ("branch3x3dbl_3b", 384, tall(3))),
            self.pooled_branch(192),
        ];
        self.join(&branches)
    }

    fn layer(&mut self, x: &Value, (name, channels, window): Layer) -> Value {
        let name = format!("{}.{name}", self.name);
        self.graph.conv_norm(&name, channels, window, x)
    }

    fn branch(&mut self, layers: &[Layer]) -> Value {
        let x = self.x.clone();
        layers.iter().fold(x, |x, &layer| self.layer(&x, layer))
    }

    fn pooled_branch(&mut self, channels: usize) -> Value {
        let name = format!("{}.pool", self.name);
        let pooled = self.graph.average_pool(&name, SAME_3, &self.x);
        self.layer(&pooled, ("branch_pool", channels, ONE))
    }

    fn halved(&mut self) -> Value {
        let name = format!("{}.pool", self.name);
        self.graph.max_pool(&name, HALVING, &self.x)
    }

    fn join(self, branches: &[Value]) -> Value {
        self.graph.concat(self.name, branches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inception_has_the_parameter_count_of_torchvision() {
        // torchvision's has 23,834,568 without the auxiliary classifier, of which its last layer, left out here, has
        // 1000 x 2049. A batch normalisation's two parameters per channel are folded into one bias: 17,216 channels.
        assert_eq!(NETWORK.parameters(), 23_834_568 - 1000 * 2049 - 17_216);
    }
}
