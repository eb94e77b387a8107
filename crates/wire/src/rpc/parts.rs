//! Message parts that several dialects share.

use super::*;
use crate::{DecodeError, MessageFrame, codec::u32_frame};

/// Returns the input header of versions 3 and 4.
pub(super) fn header<'a, F: MessageFrame + 'a>(
    input_type: DataType,
    inputs: impl ExactSizeIterator<Item = &'a F>,
) -> Vec<u8> {
    let mut header = Vec::with_capacity(8 * (inputs.len() + 2));
    header.extend(u64::from(input_type.code()).to_le_bytes());
    header.extend((inputs.len() as u64).to_le_bytes());
    for input in inputs {
        header.extend((input.as_ref().len() as u64).to_le_bytes());
    }
    header
}

/// Checks the inputs against the header, which contains their type, number and sizes as numbers of
/// `word` bytes. Returns their type.
pub(super) fn check_inputs<F: MessageFrame>(
    header: &[u8],
    word: usize,
    inputs: &[F],
) -> Result<DataType, DecodeError> {
    let expected = word * (inputs.len() + 2);
    if header.len() != expected {
        return Err(DecodeError::FrameSize {
            what: "input header of a request",
            expected,
            got: header.len(),
        });
    }
    let mut numbers = header.chunks_exact(word).map(|bytes| {
        let mut number = [0; 8];
        number[..word].copy_from_slice(bytes);
        u64::from_le_bytes(number)
    });
    let code = numbers.next().unwrap_or(u64::MAX);
    let sizes = inputs.iter().map(|input| input.as_ref().len() as u64);
    let matches = numbers.eq(std::iter::once(inputs.len() as u64).chain(sizes));
    if !matches {
        return Err(DecodeError::Inconsistent {
            what: "the number or sizes of a request's inputs differ from its header",
        });
    }
    u32::try_from(code)
        .ok()
        .and_then(DataType::from_code)
        .ok_or(DecodeError::UnknownCode {
            what: "data type",
            code,
        })
}

/// Refuses a request of any other type than a prediction.
pub(super) fn predict_only(request_type: u32) -> Result<(), DecodeError> {
    if request_type == PREDICT {
        return Ok(());
    }
    Err(DecodeError::UnknownCode {
        what: "request type",
        code: request_type.into(),
    })
}

/// Reads the frames after the message type of a heartbeat.
pub(super) fn decode_heartbeat<'a, F: MessageFrame>(
    frames: &[F],
) -> Result<FromFrontend<'a, F>, DecodeError> {
    let [kind] = frames else {
        return Err(DecodeError::FrameCount {
            what: "heartbeat of a frontend",
            got: frames.len() + 3,
        });
    };
    match u32_frame(kind.as_ref(), "heartbeat type")? {
        0 => Ok(FromFrontend::KeepAlive),
        1 => Ok(FromFrontend::MetadataWanted),
        code => Err(DecodeError::UnknownCode {
            what: "heartbeat type",
            code: code.into(),
        }),
    }
}

/// Appends the first frames of a model server's message.
pub(super) fn open<F: MessageFrame>(out: &mut Vec<F>, kind: u32) {
    out.push(F::copied(&[]));
    out.push(F::copied(&kind.to_le_bytes()));
}

/// Returns the sizes frame of versions 3 and 4.
pub(super) fn sizes(lengths: impl ExactSizeIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 * (lengths.len() + 1));
    bytes.extend((lengths.len() as u64).to_le_bytes());
    bytes.extend(lengths.flat_map(u64::to_le_bytes));
    bytes
}

/// Refuses extra frames.
pub(super) fn none<F>(frames: &[F], what: &'static str) -> Result<(), DecodeError> {
    if frames.is_empty() {
        return Ok(());
    }
    Err(DecodeError::FrameCount {
        what,
        got: frames.len() + 2,
    })
}
