//! Decoders of metadata and pictures, for fuzz targets; compiled only under `cfg(fuzzing)`.

use model::InputError;

use crate::{Architecture, Network, NetworkOptions, NetworkPort, pictures::Reader};

/// Parses the network options of an artifact's metadata file.
pub fn options(json: &[u8]) -> serde_json::Result<NetworkOptions> {
    NetworkOptions::parse(json)
}

/// Resolves the network of an ONNX file with these inputs and outputs.
pub fn resolve(
    architecture: &Architecture,
    options: &NetworkOptions,
    inputs: &[NetworkPort],
    outputs: &[NetworkPort],
) -> Result<Network, String> {
    Network::resolve(architecture, options, inputs, outputs)
}

/// Reads the base64 of a picture file into a row of the network's input.
pub fn picture(network: &Network, input: &[u8], row: &mut [f32]) -> Result<(), InputError> {
    Reader::new(network).file(input, row)
}
