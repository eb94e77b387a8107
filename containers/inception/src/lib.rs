//! The inception model server: the 2,048 features that Inception V3 pools before its classifier.
//!
//! - Input: a string, the base64 of a JPEG or PNG file of any size. It is resized to a shorter side
//!   of 342 pixels and cropped to its centre, as by torchvision for these weights. Or 299 x 299 x 3
//!   float32, channels last, RGB, 0 to 255.
//! - Output: 2,048 float32, none below zero.
//! - Network: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (2016),
//!   as in torchvision.

use std::path::Path;

use featurizer::{Architecture, Channels, Error, Featurizer, Scaling, Settings};

/// Inception V3 up to its last pooling. Pixels are scaled to `value / 127.5 - 1`, which equals
/// torchvision's normalisation followed by the network's own `transform_input`.
pub const INCEPTION: Architecture = Architecture {
    name: "inception",
    side: 299,
    resize: 342,
    scaling: Scaling {
        mean: Channels::all(0.5),
        std: Channels::all(0.5),
    },
};

/// Loads the artifact at `path`: our ONNX file, from `[N, 3, 299, 299]` to `[N, 2048]`, or any
/// other from pictures to numbers.
///
/// # Errors
/// If the file or its metadata cannot be read, its input is not pictures, or the engine cannot
/// compute it.
pub fn load(path: &Path, settings: Settings) -> Result<Featurizer, Error> {
    Featurizer::load(&INCEPTION, path, settings)
}
