//! The decoder of artifacts, for a fuzz target: nothing else is built with this.

use safetensors::Dtype;

use crate::artifact::Contents;

/// Reads an artifact, and writes it anew in float64; panics if that reads as something else.
pub fn rewritten(artifact: &[u8]) -> Result<Vec<u8>, String> {
    let contents = Contents::decode(artifact)?;
    let written = contents.encode(Dtype::F64);
    assert_eq!(Contents::decode(&written), Ok(contents));
    Ok(written)
}
