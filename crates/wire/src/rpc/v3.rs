//! Version 3, Clipper's final dialect: every output is text, in a frame of its own.

use std::borrow::Cow;

use super::{
    parts::{check_inputs, header, predict_only, sizes},
    *,
};
use crate::{
    DecodeError, MessageFrame,
    codec::{counted_u64s, u32_frame},
};

/// Appends the frames after the message type of a request.
pub(super) fn encode_request<'a, F: MessageFrame + 'a>(
    head: &RequestHead,
    inputs: impl ExactSizeIterator<Item = &'a F> + Clone,
    out: &mut Vec<F>,
) {
    let header = header(head.input_type, inputs.clone());
    out.push(F::copied(&head.message_id.to_le_bytes()));
    out.push(F::copied(&PREDICT.to_le_bytes()));
    out.push(F::copied(&(header.len() as u64).to_le_bytes()));
    out.push(F::owned(header));
    out.extend(inputs.cloned());
}

/// Reads the frames after the message type of a request.
pub(super) fn decode_request<F: MessageFrame>(
    frames: &[F],
) -> Result<BatchRequest<'_, F>, DecodeError> {
    let [message_id, request_type, _size, header, inputs @ ..] = frames else {
        return Err(DecodeError::FrameCount {
            what: "request of version 3",
            got: frames.len() + 3,
        });
    };
    predict_only(u32_frame(request_type.as_ref(), "request type")?)?;
    let head = RequestHead {
        session: None,
        message_id: u32_frame(message_id.as_ref(), "message id")?,
        time_left: None,
        input_type: check_inputs(header.as_ref(), 8, inputs)?,
    };
    Ok(BatchRequest {
        head,
        inputs: Cow::Borrowed(inputs),
    })
}

/// Appends the frames after the message type of a response. The output of a failed input is the
/// reason.
pub(super) fn encode_response<F: MessageFrame>(reply: &Reply, out: &mut Vec<F>) {
    let outputs: Vec<String> = reply
        .predictions
        .iter()
        .map(|prediction| match prediction {
            Ok(output) => output.to_text(),
            Err(error) => error.to_string(),
        })
        .collect();
    let sizes = sizes(outputs.iter().map(|text| text.len() as u64));
    out.push(F::copied(&reply.message_id.to_le_bytes()));
    out.push(F::copied(&(sizes.len() as u64).to_le_bytes()));
    out.push(F::owned(sizes));
    out.extend(outputs.into_iter().map(|text| F::owned(text.into_bytes())));
}

/// Reads the frames after the message type of a response.
pub(super) fn decode_response<F: MessageFrame>(frames: &[F]) -> Result<Response<'_>, DecodeError> {
    let [message_id, _size, sizes, outputs @ ..] = frames else {
        return Err(DecodeError::FrameCount {
            what: "response of version 3",
            got: frames.len() + 2,
        });
    };
    let sizes = counted_u64s(sizes.as_ref(), "sizes of a response")?;
    if sizes.len() != outputs.len() {
        return Err(DecodeError::Inconsistent {
            what: "the number of outputs of a version-3 response differs from its sizes",
        });
    }
    let outputs = sizes
        .zip(outputs)
        .map(|(size, output)| {
            let output = output.as_ref();
            if output.len() as u64 == size {
                Ok(Ok(output))
            } else {
                Err(DecodeError::Inconsistent {
                    what: "an output of a version-3 response differs from its size",
                })
            }
        })
        .collect::<Result<_, _>>()?;
    Ok(Response {
        session: None,
        message_id: u32_frame(message_id.as_ref(), "message id")?,
        output_type: DataType::Strings,
        outputs,
        times: None,
    })
}
