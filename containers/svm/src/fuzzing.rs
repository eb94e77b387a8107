//! Decoder of artifacts, for a fuzz target; compiled only under `cfg(fuzzing)`.

use safetensors::Dtype;

use crate::artifact::Contents;

/// Decodes an artifact and encodes it in float64; panics if decoding the result gives other
/// contents.
pub fn rewritten(artifact: &[u8]) -> Result<Vec<u8>, String> {
    let contents = Contents::decode(artifact)?;
    let written = contents.encode(Dtype::F64);
    assert_eq!(Contents::decode(&written), Ok(contents));
    Ok(written)
}
