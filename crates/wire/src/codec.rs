//! Parts that all decoders and encoders share: the frame trait, a reader and a writer of numbers,
//! and the error.

use model::DataType;

/// Frame of a message. The transport implements it with reference counts; tests use `Vec<u8>`.
pub trait MessageFrame: AsRef<[u8]> + Clone {
    /// Creates a frame with a copy of `bytes`; intended for small content.
    fn copied(bytes: &[u8]) -> Self;
    /// Creates a frame from `bytes` without a copy.
    fn owned(bytes: Vec<u8>) -> Self;
    /// Creates a frame with copies of `parts`, one after the other; intended for small content.
    fn joined(parts: &[&[u8]]) -> Self;
    /// Returns a frame that outlives the message; a large one is not copied.
    fn keep(&self) -> Self;
}

impl MessageFrame for Vec<u8> {
    fn copied(bytes: &[u8]) -> Self {
        bytes.to_vec()
    }
    fn owned(bytes: Vec<u8>) -> Self {
        bytes
    }
    fn joined(parts: &[&[u8]]) -> Self {
        parts.concat()
    }
    fn keep(&self) -> Self {
        self.clone()
    }
}

/// Error of a malformed message. The peer is at fault; the message is logged and dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message has too few or too many frames.
    #[error("{what} has a wrong number of frames: {got}")]
    FrameCount {
        /// Name of the message.
        what: &'static str,
        /// Number of frames received.
        got: usize,
    },
    /// A frame has the wrong length.
    #[error("{what} has {got} bytes, not {expected}")]
    FrameSize {
        /// Name of the frame.
        what: &'static str,
        /// Expected length in bytes.
        expected: usize,
        /// Length received in bytes.
        got: usize,
    },
    /// A number is not one of the known codes.
    #[error("unknown {what}: {code}")]
    UnknownCode {
        /// Name of the field.
        what: &'static str,
        /// Number received.
        code: u64,
    },
    /// A text is not UTF-8, or cannot be parsed.
    #[error("cannot parse {what}")]
    BadText {
        /// Name of the field.
        what: &'static str,
    },
    /// Parts of a message contradict each other.
    #[error("{what}")]
    Inconsistent {
        /// Description of the contradiction.
        what: &'static str,
    },
}

/// Reader of numbers from the front of a frame of known size.
pub(crate) struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    /// Creates a reader of a frame that must be `size` bytes long.
    pub(crate) fn of(
        frame: &'a [u8],
        size: usize,
        what: &'static str,
    ) -> Result<Numbers<'a>, DecodeError> {
        if frame.len() != size {
            return Err(DecodeError::FrameSize {
                what,
                expected: size,
                got: frame.len(),
            });
        }
        Ok(Numbers(frame))
    }

    /// Creates a reader of the first `size` bytes of a frame, and returns it with the rest.
    pub(crate) fn before(
        frame: &'a [u8],
        size: usize,
        what: &'static str,
    ) -> Result<(Numbers<'a>, &'a [u8]), DecodeError> {
        let (head, rest) = frame.split_at_checked(size).ok_or(DecodeError::FrameSize {
            what,
            expected: size,
            got: frame.len(),
        })?;
        Ok((Numbers(head), rest))
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self
            .0
            .split_first_chunk()
            .expect("callers read no more than the size that they passed to `of`");
        self.0 = rest;
        *head
    }
}

/// Reads a frame of four bytes as a number.
pub(crate) fn u32_frame(frame: &[u8], what: &'static str) -> Result<u32, DecodeError> {
    Ok(Numbers::of(frame, 4, what)?.u32())
}

/// Checks a frame against its size in bytes, which the frame before it contains as a `u64`.
pub(crate) fn sized_frame<'a>(
    size: &[u8],
    frame: &'a [u8],
    what: &'static str,
) -> Result<&'a [u8], DecodeError> {
    let expected = Numbers::of(size, 8, what)?.u64();
    if expected == frame.len() as u64 {
        return Ok(frame);
    }
    Err(DecodeError::FrameSize {
        what,
        expected: usize::try_from(expected).unwrap_or(usize::MAX),
        got: frame.len(),
    })
}

/// Reads a frame as UTF-8 text.
pub(crate) fn text_frame<'a>(frame: &'a [u8], what: &'static str) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(frame).map_err(|_| DecodeError::BadText { what })
}

/// Returns the data type with this code.
pub(crate) fn data_type(code: u32) -> Result<DataType, DecodeError> {
    DataType::from_code(code).ok_or(DecodeError::UnknownCode {
        what: "data type",
        code: code.into(),
    })
}

/// Reads a `u64[1 + n]` frame: the count `n`, then `n` entries.
pub(crate) fn counted_u64s<'a>(
    frame: &'a [u8],
    what: &'static str,
) -> Result<impl ExactSizeIterator<Item = u64> + 'a, DecodeError> {
    let (words, rest) = frame.as_chunks::<8>();
    let count = words.first().map_or(0, |word| u64::from_le_bytes(*word));
    if !rest.is_empty() || words.is_empty() || count != words.len() as u64 - 1 {
        return Err(DecodeError::Inconsistent { what });
    }
    Ok(words[1..].iter().map(|word| u64::from_le_bytes(*word)))
}

/// Writer of numbers into a small frame, on the stack; the counterpart of [`Numbers`].
pub(crate) struct Header {
    bytes: [u8; Header::MAX],
    length: usize,
}

impl Header {
    /// Length in bytes of the longest header, that of an answer.
    const MAX: usize = 72;

    pub(crate) fn new() -> Header {
        Header {
            bytes: [0; Header::MAX],
            length: 0,
        }
    }

    pub(crate) fn u32(self, number: u32) -> Header {
        self.append(&number.to_le_bytes())
    }

    pub(crate) fn u64(self, number: u64) -> Header {
        self.append(&number.to_le_bytes())
    }

    pub(crate) fn frame<F: MessageFrame>(&self) -> F {
        F::copied(self.bytes())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn append(mut self, number: &[u8]) -> Header {
        self.bytes[self.length..][..number.len()].copy_from_slice(number);
        self.length += number.len();
        self
    }
}

/// Converts a duration to whole microseconds.
pub(crate) fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
