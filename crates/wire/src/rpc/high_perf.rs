//! High-performance dialect: requests use one port, responses use another and name their
//! connection.

use std::borrow::Cow;

use super::{
    parts::{check_inputs, predict_only},
    *,
};
use crate::{
    DecodeError, MessageFrame,
    codec::{Numbers, sized_frame, u32_frame},
    rpc::v2017::number,
};

/// Message to the port for responses.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionResponse<'a> {
    /// Connection id of the model server, from the registration reply.
    pub connection: u32,
    /// Response, or the error of one that cannot be decoded.
    pub response: Result<Response<'a>, DecodeError>,
}

impl<'a> ConnectionResponse<'a> {
    /// Reads a message to the port for responses, delimiter included.
    ///
    /// # Errors
    /// If the connection id cannot be read.
    pub fn decode<F: MessageFrame>(frames: &'a [F]) -> Result<ConnectionResponse<'a>, DecodeError> {
        let [delimiter, connection, rest @ ..] = frames else {
            return Err(DecodeError::FrameCount {
                what: "response of the high-performance dialect",
                got: frames.len(),
            });
        };
        Numbers::of(delimiter.as_ref(), 0, "delimiter")?;
        Ok(ConnectionResponse {
            connection: u32_frame(connection.as_ref(), "connection id")?,
            response: decode_response(rest),
        })
    }
}

fn decode_response<F: MessageFrame>(frames: &[F]) -> Result<Response<'_>, DecodeError> {
    let [kind, content @ .., received, sent] = frames else {
        return Err(DecodeError::FrameCount {
            what: "response of the high-performance dialect",
            got: frames.len() + 2,
        });
    };
    match u32_frame(kind.as_ref(), "message type")? {
        CONTENT => {}
        code => {
            return Err(DecodeError::UnknownCode {
                what: "message type of a response",
                code: code.into(),
            });
        }
    }
    let (received, sent) = (time(received.as_ref())?, time(sent.as_ref())?);
    Ok(Response {
        times: Some(Times {
            received,
            begun: received,
            ended: sent,
            sent,
        }),
        ..v2017::decode_response(content)?
    })
}

/// Reads a time, which is a float, in whole microseconds.
fn time(frame: &[u8]) -> Result<u64, DecodeError> {
    let time = f64::from_bits(Numbers::of(frame, 8, "time of a response")?.u64()).round();
    if time.is_finite() && time >= 0.0 {
        return Ok(time as u64);
    }
    Err(DecodeError::Inconsistent {
        what: "a time of a response is negative or not finite",
    })
}

/// Appends a response to the port for responses. `reply`'s times count from the epoch.
pub(super) fn encode_response<F: MessageFrame>(reply: &Reply, connection: u32, out: &mut Vec<F>) {
    out.push(F::copied(&[]));
    out.push(F::copied(&connection.to_le_bytes()));
    out.push(F::copied(&CONTENT.to_le_bytes()));
    v2017::encode_response(reply, out);
    for time in [reply.times.received, reply.times.sent] {
        out.push(F::copied(&(time as f64).to_le_bytes()));
    }
}

/// Appends the frames after the message type of a request.
pub(super) fn encode_request<'a, F: MessageFrame + 'a>(
    head: &RequestHead,
    inputs: impl ExactSizeIterator<Item = &'a F> + Clone,
    out: &mut Vec<F>,
) {
    let mut header = Vec::with_capacity(4 * (inputs.len() + 2));
    header.extend(head.input_type.code().to_le_bytes());
    header.extend(number(inputs.len()).to_le_bytes());
    for input in inputs.clone() {
        header.extend(number(input.as_ref().len()).to_le_bytes());
    }
    out.push(F::copied(&head.message_id.to_le_bytes()));
    out.push(F::copied(&PREDICT.to_le_bytes()));
    out.push(F::copied(&(header.len() as u64).to_le_bytes()));
    out.push(F::owned(header));
    out.extend(inputs.cloned());
}

/// Reads a registration reply or a request, delimiter included.
pub(super) fn decode<F: MessageFrame>(frames: &[F]) -> Result<FromFrontend<'_, F>, DecodeError> {
    match frames {
        [delimiter, connection] => {
            Numbers::of(delimiter.as_ref(), 0, "delimiter")?;
            u32_frame(connection.as_ref(), "connection id").map(FromFrontend::Connection)
        }
        [delimiter, kind, rest @ ..] => {
            Numbers::of(delimiter.as_ref(), 0, "delimiter")?;
            match u32_frame(kind.as_ref(), "message type")? {
                CONTENT => decode_request(rest).map(FromFrontend::Request),
                code => Err(DecodeError::UnknownCode {
                    what: "message type of a high-performance frontend",
                    code: code.into(),
                }),
            }
        }
        _ => Err(DecodeError::FrameCount {
            what: "frontend message",
            got: frames.len(),
        }),
    }
}

fn decode_request<F: MessageFrame>(frames: &[F]) -> Result<BatchRequest<'_, F>, DecodeError> {
    let [message_id, request_type, size, header, inputs @ ..] = frames else {
        return Err(DecodeError::FrameCount {
            what: "request of the high-performance dialect",
            got: frames.len() + 2,
        });
    };
    predict_only(u32_frame(request_type.as_ref(), "request type")?)?;
    let header = sized_frame(size.as_ref(), header.as_ref(), "header of a request")?;
    let head = RequestHead {
        session: None,
        message_id: u32_frame(message_id.as_ref(), "message id")?,
        time_left: None,
        input_type: check_inputs(header, 4, inputs)?,
    };
    Ok(BatchRequest {
        head,
        inputs: Cow::Borrowed(inputs),
    })
}
