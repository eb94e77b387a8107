//! Version 4, our native dialect: sessions, typed outputs, reasons of failures, and times.

use std::borrow::Cow;

use model::element_count;

use super::{
    parts::{check_inputs, header, open, predict_only, sizes},
    *,
};
use crate::{
    DecodeError, MessageFrame,
    codec::{Header, Numbers, counted_u64s, data_type, micros, text_frame},
};

/// Appends the frames after the message type of a request.
pub(super) fn encode_request<'a, F: MessageFrame + 'a>(
    head: &RequestHead,
    inputs: impl ExactSizeIterator<Item = &'a F> + Clone,
    out: &mut Vec<F>,
) {
    out.push(
        Header::new()
            .u64(head.session.unwrap_or_default())
            .u32(head.message_id)
            .u32(PREDICT)
            .u64(head.time_left.map_or(NO_DEADLINE, micros))
            .frame(),
    );
    out.push(F::owned(header(head.input_type, inputs.clone())));
    out.extend(inputs.cloned());
}

/// Reads the frames after the message type of a request.
pub(super) fn decode_request<F: MessageFrame>(
    frames: &[F],
) -> Result<BatchRequest<'_, F>, DecodeError> {
    let [head, header, inputs @ ..] = frames else {
        return Err(DecodeError::FrameCount {
            what: "request of version 4",
            got: frames.len() + 3,
        });
    };
    let mut numbers = Numbers::of(head.as_ref(), 24, "header of a request")?;
    let session = Some(numbers.u64());
    let message_id = numbers.u32();
    predict_only(numbers.u32())?;
    let left = numbers.u64();
    let head = RequestHead {
        session,
        message_id,
        time_left: (left != NO_DEADLINE).then(|| Duration::from_micros(left)),
        input_type: check_inputs(header.as_ref(), 8, inputs)?,
    };
    Ok(BatchRequest {
        head,
        inputs: Cow::Borrowed(inputs),
    })
}

/// Appends the frames after the message type of a response.
pub(super) fn encode_response<F: MessageFrame>(reply: &Reply, session: u64, out: &mut Vec<F>) {
    let mut data = Vec::new();
    let mut lengths = Vec::with_capacity(reply.predictions.len());
    for prediction in &reply.predictions {
        let start = data.len();
        let mark = match prediction {
            Ok(output) => {
                output.write_to(&mut data);
                0
            }
            Err(error) => {
                data.extend_from_slice(error.0.as_bytes());
                FAILED
            }
        };
        lengths.push((data.len() - start) as u64 | mark);
    }
    out.push(
        Header::new()
            .u64(session)
            .u32(reply.message_id)
            .u32(reply.output_type.code())
            .u64(reply.times.received)
            .u64(reply.times.begun)
            .u64(reply.times.ended)
            .u64(reply.times.sent)
            .frame(),
    );
    out.push(F::owned(sizes(lengths.into_iter())));
    out.push(F::owned(data));
}

/// Reads the frames after the message type of a response.
pub(super) fn decode_response<F: MessageFrame>(frames: &[F]) -> Result<Response<'_>, DecodeError> {
    let [header, sizes, data] = frames else {
        return Err(DecodeError::FrameCount {
            what: "response of version 4",
            got: frames.len() + 2,
        });
    };
    let mut header = Numbers::of(header.as_ref(), 48, "header of a response")?;
    let session = header.u64();
    let message_id = header.u32();
    let output_type = data_type(header.u32())?;
    let times = Times {
        received: header.u64(),
        begun: header.u64(),
        ended: header.u64(),
        sent: header.u64(),
    };
    Ok(Response {
        session: Some(session),
        message_id,
        output_type,
        outputs: split_outputs(data.as_ref(), sizes.as_ref(), output_type)?,
        times: Some(times),
    })
}

/// Splits the frame that contains all outputs.
fn split_outputs<'a>(
    data: &'a [u8],
    sizes: &[u8],
    output_type: DataType,
) -> Result<Vec<Result<&'a [u8], &'a str>>, DecodeError> {
    let wrong = DecodeError::Inconsistent {
        what: "the outputs of a response differ from its sizes",
    };
    let mut rest = data;
    let mut outputs = Vec::new();
    for size in counted_u64s(sizes, "sizes of a response")? {
        let length = usize::try_from(size & !FAILED).map_err(|_| wrong.clone())?;
        let (output, after) = rest.split_at_checked(length).ok_or_else(|| wrong.clone())?;
        rest = after;
        outputs.push(if size & FAILED == 0 {
            element_count(output_type, output).map_err(|_| wrong.clone())?;
            Ok(output)
        } else {
            Err(text_frame(output, "reason of a failed input")?)
        });
    }
    if rest.is_empty() {
        Ok(outputs)
    } else {
        Err(wrong)
    }
}

impl BatchError<'_> {
    /// Appends the frames of the error (version 4).
    pub fn encode<F: MessageFrame>(&self, out: &mut Vec<F>) {
        open(out, ERROR);
        out.push(
            Header::new()
                .u64(self.session)
                .u32(self.message_id)
                .u32(self.code as u32)
                .frame(),
        );
        out.push(F::copied(self.text.as_bytes()));
    }
}

/// Reads the frames after the message type of an error.
pub(super) fn decode_error<F: MessageFrame>(frames: &[F]) -> Result<BatchError<'_>, DecodeError> {
    let [header, text] = frames else {
        return Err(DecodeError::FrameCount {
            what: "error of a container",
            got: frames.len() + 2,
        });
    };
    let mut header = Numbers::of(header.as_ref(), 16, "header of an error")?;
    let session = header.u64();
    let message_id = header.u32();
    let code = match header.u32() {
        1 => ErrorCode::BadRequest,
        2 => ErrorCode::ModelFailed,
        code => {
            return Err(DecodeError::UnknownCode {
                what: "error code",
                code: code.into(),
            });
        }
    };
    Ok(BatchError {
        session,
        message_id,
        code,
        text: text_frame(text.as_ref(), "text of an error")?,
    })
}
