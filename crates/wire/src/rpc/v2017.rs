//! Dialect of 2017: all inputs in one frame, all outputs in another.

use std::borrow::Cow;

use model::{DataType, element_count};

use super::{
    parts::{decode_heartbeat, predict_only},
    *,
};
use crate::{
    DecodeError, MessageFrame,
    codec::{Numbers, data_type, sized_frame, u32_frame},
};

/// Appends the frames after the message type of a request.
pub(super) fn encode_request<'a, F: MessageFrame + 'a>(
    head: &RequestHead,
    inputs: impl ExactSizeIterator<Item = &'a F> + Clone,
    out: &mut Vec<F>,
) {
    let strings = head.input_type == DataType::Strings;
    let bytes: usize = inputs.clone().map(|input| input.as_ref().len() + 1).sum();
    let mut header = Vec::with_capacity(4 * (inputs.len() + 2));
    let mut content = Vec::with_capacity(bytes);
    header.extend(head.input_type.code().to_le_bytes());
    header.extend(number(inputs.len()).to_le_bytes());
    for (index, input) in inputs.enumerate() {
        if index > 0 {
            let elements = content.len() / head.input_type.element_size();
            header.extend(number(if strings { index } else { elements }).to_le_bytes());
        }
        if Version::V2017.carries(head.input_type, input.as_ref()) {
            content.extend_from_slice(input.as_ref());
        }
        if strings {
            content.push(0);
        }
    }
    out.push(F::copied(&head.message_id.to_le_bytes()));
    out.push(F::copied(&PREDICT.to_le_bytes()));
    for frame in [header, content] {
        out.push(F::copied(&(frame.len() as u64).to_le_bytes()));
        out.push(F::owned(frame));
    }
}

/// Reads the frames after the message type of a request.
pub(super) fn decode_request<F: MessageFrame>(
    frames: &[F],
) -> Result<BatchRequest<'_, F>, DecodeError> {
    let [message_id, request_type, header_size, header, size, content] = frames else {
        return Err(DecodeError::FrameCount {
            what: "request of 2017",
            got: frames.len() + 2,
        });
    };
    predict_only(u32_frame(request_type.as_ref(), "request type")?)?;
    let header = sized_frame(header_size.as_ref(), header.as_ref(), "header of a request")?;
    let content = sized_frame(size.as_ref(), content.as_ref(), "inputs of a request")?;
    let (input_type, inputs) = split_inputs(header, content)?;
    let head = RequestHead {
        session: None,
        message_id: u32_frame(message_id.as_ref(), "message id")?,
        time_left: None,
        input_type,
    };
    Ok(BatchRequest {
        head,
        inputs: Cow::Owned(inputs.into_iter().map(F::copied).collect()),
    })
}

/// Splits the frame that contains all inputs.
fn split_inputs<'a>(
    header: &[u8],
    content: &'a [u8],
) -> Result<(DataType, Vec<&'a [u8]>), DecodeError> {
    let wrong = DecodeError::Inconsistent {
        what: "the number or sizes of a request's inputs differ from its header",
    };
    let words = u32s(header).ok_or_else(|| wrong.clone())?;
    let [code, count, ends @ ..] = &words[..] else {
        return Err(wrong);
    };
    if *count as usize != ends.len() + 1 {
        return Err(wrong);
    }
    let input_type = data_type(*code)?;
    let inputs = if input_type == DataType::Strings {
        split_strings(content, ends)
    } else {
        split_elements(content, input_type, ends)
    };
    Ok((input_type, inputs.ok_or(wrong)?))
}

fn split_strings<'a>(content: &'a [u8], ends: &[u32]) -> Option<Vec<&'a [u8]>> {
    // The number is bounded by the header, however many NULs there are.
    let strings: Vec<_> = content
        .strip_suffix(&[0])?
        .split(|byte| *byte == 0)
        .take(ends.len() + 2)
        .collect();
    let matches =
        strings.len() == ends.len() + 1 && ends.iter().copied().eq(1..number(strings.len()));
    matches.then_some(strings)
}

fn split_elements<'a>(
    content: &'a [u8],
    input_type: DataType,
    ends: &[u32],
) -> Option<Vec<&'a [u8]>> {
    let size = input_type.element_size();
    let last = element_count(input_type, content).ok()?;
    let mut start = 0;
    let ends = ends.iter().map(|end| *end as usize).chain([last]);
    ends.map(|end| {
        let input = content.get(start * size..end.checked_mul(size)?);
        start = end;
        input
    })
    .collect()
}

/// Appends the frames after the message type of a response, which are the same in the
/// high-performance dialect.
pub(super) fn encode_response<F: MessageFrame>(reply: &Reply, out: &mut Vec<F>) {
    // These dialects have no code for doubles, so doubles are sent as text, as in version 3.
    let output_type = match reply.output_type {
        DataType::Doubles => DataType::Strings,
        other => other,
    };
    let count = reply.predictions.len();
    let mut block = vec![0; 4 * (count + 1)];
    block[..4].copy_from_slice(&number(count).to_le_bytes());
    for (index, prediction) in reply.predictions.iter().enumerate() {
        let start = block.len();
        match prediction {
            Ok(output) if output_type == DataType::Strings => {
                block.extend(output.to_text().into_bytes());
            }
            Ok(output) => output.write_to(&mut block),
            Err(error) if output_type == DataType::Strings => {
                block.extend_from_slice(error.0.as_bytes());
            }
            // The dialect has no place for the reason.
            Err(_) => {}
        }
        let size = number(block.len() - start);
        block[4 * (index + 1)..][..4].copy_from_slice(&size.to_le_bytes());
    }
    out.push(F::copied(&reply.message_id.to_le_bytes()));
    out.push(F::copied(&output_type.code().to_le_bytes()));
    out.push(F::copied(&number(block.len()).to_le_bytes()));
    out.push(F::owned(block));
}

/// Reads the frames after the message type of a response.
pub(super) fn decode_response<F: MessageFrame>(frames: &[F]) -> Result<Response<'_>, DecodeError> {
    let [message_id, output_type, size, block] = frames else {
        return Err(DecodeError::FrameCount {
            what: "response of 2017",
            got: frames.len() + 2,
        });
    };
    let output_type = match data_type(u32_frame(output_type.as_ref(), "output type")?)? {
        DataType::Doubles => {
            return Err(DecodeError::UnknownCode {
                what: "output type of the older dialects",
                code: DataType::Doubles.code().into(),
            });
        }
        other => other,
    };
    let wrong = DecodeError::Inconsistent {
        what: "the outputs of a response differ from its sizes",
    };
    let block = block.as_ref();
    if u32_frame(size.as_ref(), "size of the outputs")? as usize != block.len() {
        return Err(wrong);
    }
    Ok(Response {
        session: None,
        message_id: u32_frame(message_id.as_ref(), "message id")?,
        output_type,
        outputs: split_outputs(block, output_type).ok_or(wrong)?,
        times: None,
    })
}

fn split_outputs(block: &[u8], output_type: DataType) -> Option<Vec<Result<&[u8], &str>>> {
    let (count, rest) = block.split_first_chunk::<4>()?;
    let sizes_end = (u32::from_le_bytes(*count) as usize).checked_mul(4)?;
    let (sizes, mut rest) = rest.split_at_checked(sizes_end)?;
    let mut outputs = Vec::with_capacity(sizes.len() / 4);
    for size in u32s(sizes)? {
        let (output, after) = rest.split_at_checked(size as usize)?;
        element_count(output_type, output).ok()?;
        outputs.push(Ok(output));
        rest = after;
    }
    rest.is_empty().then_some(outputs)
}

/// Reads a frame of numbers; `None` if its size is not a multiple of four.
fn u32s(frame: &[u8]) -> Option<Vec<u32>> {
    let (words, rest) = frame.as_chunks::<4>();
    let numbers = words.iter().map(|word| u32::from_le_bytes(*word));
    rest.is_empty().then(|| numbers.collect())
}

/// Converts a count to the 32 bits of these dialects. A larger count does not fit, and the reader
/// reports an error.
pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Reads a heartbeat or a request, delimiter included.
pub(super) fn decode<F: MessageFrame>(frames: &[F]) -> Result<FromFrontend<'_, F>, DecodeError> {
    let [delimiter, kind, rest @ ..] = frames else {
        return Err(DecodeError::FrameCount {
            what: "frontend message",
            got: frames.len(),
        });
    };
    Numbers::of(delimiter.as_ref(), 0, "delimiter")?;
    match u32_frame(kind.as_ref(), "message type")? {
        CONTENT => decode_request(rest).map(FromFrontend::Request),
        HEARTBEAT => decode_heartbeat(rest),
        code => Err(DecodeError::UnknownCode {
            what: "message type of a frontend of 2017",
            code: code.into(),
        }),
    }
}
