//! The decoders of metadata and pictures, for fuzz targets: nothing else is built with this.

use model::InputError;

use crate::{Architecture, Network, NetworkOptions, Port, pictures::Reader};

/// What the metadata file beside an artifact says of its network.
pub fn options(json: &[u8]) -> serde_json::Result<NetworkOptions> {
    NetworkOptions::parse(json)
}

/// The network of an ONNX file with these ports.
pub fn resolve(
    architecture: &Architecture,
    said: &NetworkOptions,
    inputs: &[Port],
    outputs: &[Port],
) -> Result<Network, String> {
    Network::resolve(architecture, said, inputs, outputs)
}

/// Reads a picture file in base64 into a row of the network's input.
pub fn picture(network: &Network, input: &[u8], row: &mut [f32]) -> Result<(), InputError> {
    Reader::new(network).file(input, row)
}
