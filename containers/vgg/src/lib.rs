//! The vgg model server: the 4,096 values after the second fully connected layer (and its ReLU) of
//! VGG-16.
//!
//! - Input: 224 x 224 x 3 float32, channels last, RGB, 0 to 255. Or a string, the base64 of a JPEG
//!   or PNG file of any size, which is resized to a shorter side of 256 pixels and cropped to its
//!   centre, as by torchvision for these weights.
//! - Output: 4,096 float32, none below zero.
//! - Network: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
//!   Recognition" (2015), configuration D.

use std::path::Path;

use featurizer::{Architecture, Channels, Error, Featurizer, Scaling, Settings};

/// VGG-16 up to `fc7`, with the scaling of torchvision's weights (mean and standard deviation of
/// ImageNet).
pub const VGG: Architecture = Architecture {
    name: "vgg",
    side: 224,
    resize: 256,
    scaling: Scaling {
        mean: Channels::new(0.485, 0.456, 0.406),
        std: Channels::new(0.229, 0.224, 0.225),
    },
};

/// Loads the artifact at `path`: our ONNX file, from `[N, 3, 224, 224]` to `[N, 4096]`, or any
/// other from pictures to numbers.
///
/// # Errors
/// If the file or its metadata cannot be read, its input is not pictures, or the engine cannot
/// compute it.
pub fn load(path: &Path, settings: Settings) -> Result<Featurizer, Error> {
    Featurizer::load(&VGG, path, settings)
}
