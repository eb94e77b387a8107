//! What the fuzz targets share: a bound on memory, and multipart messages out of plain bytes.

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What any decoder may take, however short its input: errors in words, first capacities of lists and tables.
const CONSTANT: usize = 8 << 10;

/// Runs a decoder, and fails if at any time it held more than `factor` bytes of memory per byte of `input`.
///
/// A factor says what the smallest thing on the wire becomes in memory, and a list that grows is there twice for a moment, the
/// second time doubled. What it finds is memory that a message asks for and does not pay for.
#[track_caller]
pub fn bounded<T>(factor: usize, input: usize, decode: impl FnOnce() -> T) -> T {
    at_most(factor * input + CONSTANT, decode)
}

/// Runs a decoder, and fails if at any time it held more than so many bytes of memory.
#[track_caller]
pub fn at_most<T>(limit: usize, decode: impl FnOnce() -> T) -> T {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let decoded = decode();
    let taken = MEMORY.peak_usage() - before;
    assert!(
        taken <= limit,
        "it took {taken} bytes of memory, {limit} are allowed"
    );
    decoded
}

/// A multipart message.
pub type Frames = Vec<Vec<u8>>;

/// Reads a message: each frame behind its length in two bytes. The last one ends with the bytes.
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

/// Writes a message for [`frames`] to read.
pub fn joined(frames: &[Vec<u8>]) -> Vec<u8> {
    let frame = |frame: &Vec<u8>| {
        let length = u16::try_from(frame.len()).expect("seeds are small");
        [&length.to_le_bytes(), &frame[..]].concat()
    };
    frames.iter().flat_map(frame).collect()
}

/// The bytes of all frames.
pub fn size(frames: &[Vec<u8>]) -> usize {
    frames.iter().map(Vec::len).sum()
}
