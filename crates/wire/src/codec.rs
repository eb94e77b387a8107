//! What decoders and encoders share: a frame, a reader of numbers, and the error.

use model::DataType;

/// What a message is made of. The transport has its own, reference-counted; tests use `Vec<u8>`.
pub trait Frame: AsRef<[u8]> + Clone {
    /// A frame that holds a copy of `bytes`: for what is small.
    fn copied(bytes: &[u8]) -> Self;
    /// A frame that takes `bytes` over without a copy.
    fn owned(bytes: Vec<u8>) -> Self;
    /// A frame that holds copies of `parts`, one after the other: for what is small.
    fn joined(parts: &[&[u8]]) -> Self;
    /// The frame to keep after its message has been handled, without a copy if it is large.
    fn keep(&self) -> Self;
}

impl Frame for Vec<u8> {
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

/// A message that does not say what it should. The peer is at fault; it is logged and dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Too few or too many frames.
    #[error("{what} has {got} frames")]
    FrameCount {
        /// The message.
        what: &'static str,
        /// Frames it has.
        got: usize,
    },
    /// A frame of the wrong length.
    #[error("{what} has {got} bytes, not {expected}")]
    FrameSize {
        /// The frame.
        what: &'static str,
        /// Bytes it should have.
        expected: usize,
        /// Bytes it has.
        got: usize,
    },
    /// A number that stands for nothing.
    #[error("{code} is no {what}")]
    UnknownCode {
        /// What it should stand for.
        what: &'static str,
        /// The number.
        code: u64,
    },
    /// Text that is not UTF-8, or not what it should be.
    #[error("{what} cannot be read")]
    BadText {
        /// The text's meaning.
        what: &'static str,
    },
    /// Parts of a message that contradict each other.
    #[error("{what}")]
    Inconsistent {
        /// The contradiction.
        what: &'static str,
    },
}

/// Reads numbers off the front of a frame of known size.
pub(crate) struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    /// A reader of a frame that must be `size` bytes long.
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

    /// A reader of the front of a frame, which must be at least `size` bytes long, and what follows.
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
            .expect("callers read as many numbers as the size they gave to `of`");
        self.0 = rest;
        *head
    }
}

/// The number in a frame of four bytes.
pub(crate) fn u32_frame(frame: &[u8], what: &'static str) -> Result<u32, DecodeError> {
    Ok(Numbers::of(frame, 4, what)?.u32())
}

/// A frame whose size in bytes stands, as a `u64`, in the one before it.
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

/// The UTF-8 text in a frame.
pub(crate) fn text_frame<'a>(frame: &'a [u8], what: &'static str) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(frame).map_err(|_| DecodeError::BadText { what })
}

/// The type with this code.
pub(crate) fn data_type(code: u32) -> Result<DataType, DecodeError> {
    DataType::from_code(code).ok_or(DecodeError::UnknownCode {
        what: "data type",
        code: code.into(),
    })
}

/// A `u64[1 + n]` frame: the count `n`, then `n` entries.
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

/// Writes numbers into a small frame, on the stack: the counterpart of [`Numbers`].
pub(crate) struct Header {
    bytes: [u8; Header::MAX],
    length: usize,
}

impl Header {
    /// The longest header of all messages: that of an answer.
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

    pub(crate) fn frame<F: Frame>(&self) -> F {
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

/// Whole microseconds of a duration, for a `u64` on the wire.
pub(crate) fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
