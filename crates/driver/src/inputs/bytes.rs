//! Numbers as bytes on the wire.

/// Returns float32 values in little-endian order.
pub(super) fn floats(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(f32::to_le_bytes).collect()
}
