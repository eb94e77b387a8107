//! Numbers as they go over the wire.

/// Floats, in little-endian order.
pub(super) fn floats(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(f32::to_le_bytes).collect()
}
