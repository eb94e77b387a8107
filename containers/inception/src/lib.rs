//! The inception model server: the 2,048 features that Inception V3 pools before its classifier.
//!
//! Input: a string, the base64 of a JPEG or PNG file of any size, resized to a shorter side of 342 pixels, of
//! which the centre is taken, as torchvision does for these weights; or 299 x 299 x 3 float32, channels last, RGB, 0 to 255.
//! Output: 2,048 float32, none below zero.
//! Network: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (2016), as in torchvision.

use std::path::Path;

use featurizer::{Architecture, Channels, Error, Featurizer, Scaling, Settings};

/// Inception V3 up to its last pooling. A pixel's value becomes `value / 127.5 - 1`, which is what torchvision's
/// normalisation and the network's own `transform_input` amount to together.
pub const INCEPTION: Architecture = Architecture {
    name: "inception",
    side: 299,
    resize: 342,
    scaling: Scaling {
        mean: Channels::all(0.5),
        std: Channels::all(0.5),
    },
};

/// Loads the artifact at `path`: our own ONNX file, from `[N, 3, 299, 299]` to `[N, 2048]`, or any other from pictures to
/// numbers.
///
/// # Errors
/// If the file or its metadata cannot be read, its network does not take pictures, or the engine cannot compute it.
pub fn load(path: &Path, settings: Settings) -> Result<Featurizer, Error> {
    Featurizer::load(&INCEPTION, path, settings)
}
