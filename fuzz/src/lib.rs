//! Shared code of the fuzz targets: a bound on memory, and multipart messages from plain bytes.

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that a decoder may use for any input: texts of errors, initial capacities of lists and
/// tables.
const CONSTANT: usize = 8 << 10;

/// Runs a decoder, and panics if its peak memory exceeds `factor` bytes per byte of `input`, plus 8
/// KiB.
///
/// The factor is the size in memory of the smallest element of the wire, and includes the moment at
/// which a growing list exists twice, once with doubled capacity. The bound detects allocations of
/// sizes that a message declares without having the bytes.
#[track_caller]
pub fn bounded<T>(factor: usize, input: usize, decode: impl FnOnce() -> T) -> T {
    at_most(factor * input + CONSTANT, decode)
}

/// Runs a decoder, and panics if its peak memory exceeds `limit` bytes.
#[track_caller]
pub fn at_most<T>(limit: usize, decode: impl FnOnce() -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let decoded = decode();
    let peak = MEMORY.peak_usage() - before;
    assert!(
        peak <= limit,
        "the decoder used {peak} bytes of memory; {limit} are allowed"
    );
    decoded
}

/// A multipart message.
pub type Frames = Vec<Vec<u8>>;

/// Reads a message of frames, each with its length in two bytes before it. The last frame may be
/// shorter than its length.
pub fn frames(mut bytes: &[u8]) -> Frames {
    let mut frames = Frames::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (frame, rest) = rest.split_at(length);
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}

/// Encodes a message in the format of [`frames`].
pub fn joined(frames: &[Vec<u8>]) -> Vec<u8> {
    let frame = |frame: &Vec<u8>| {
        let length = u16::try_from(frame.len()).expect("seeds are small");
        [&length.to_le_bytes(), &frame[..]].concat()
    };
    frames.iter().flat_map(frame).collect()
}

/// Returns the number of bytes of all frames.
pub fn size(frames: &[Vec<u8>]) -> usize {
    frames.iter().map(Vec::len).sum()
}
