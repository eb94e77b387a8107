//! Requests and answers of the native dialect.

use std::time::Duration;

use super::{Answer, AnswerStatus, Input, Lineage, QueryRequest, Timing};
use crate::{
    DecodeError, MessageFrame,
    codec::{Header, Numbers, data_type, micros, text_frame},
};

impl<F: MessageFrame> QueryRequest<'_, F> {
    /// Appends the frames of a native request.
    pub fn encode(&self, out: &mut Vec<F>) {
        let app = truncated(self.app);
        let head = Header::new()
            .u64(self.session.unwrap_or_default())
            .u32(self.client_id)
            .u32(self.request_id)
            .u32(self.input_type.code())
            .u64(self.deadline.map_or(0, micros))
            .u32(app.len() as u32);
        out.push(F::copied(&[]));
        match self.input {
            Input::Frame(input) if input.as_ref().len() >= Input::<F>::SEPARATE_FROM => {
                out.push(F::joined(&[head.bytes(), app]));
                out.push(input.clone());
            }
            _ => {
                let input = self.input.as_ref();
                out.push(F::joined(&[head.bytes(), app, input]));
            }
        }
    }
}

/// Reads a native request. Its input is the second frame, or the rest of the first.
pub(super) fn decode_request<'a, F: MessageFrame>(
    head: &'a F,
    input: Option<&'a F>,
) -> Result<QueryRequest<'a, F>, DecodeError> {
    let (mut head, rest) = Numbers::before(head.as_ref(), 32, "header of a request")?;
    let session = Some(head.u64());
    let client_id = head.u32();
    let request_id = head.u32();
    let input_type = data_type(head.u32())?;
    let deadline = head.u64();
    let (app, rest) = split_text(rest, head.u32(), "application name")?;
    let input = match input {
        Some(input) if rest.is_empty() => Input::Frame(input),
        Some(_) => {
            return Err(DecodeError::Inconsistent {
                what: "a request contains its input twice",
            });
        }
        None => Input::Part(rest),
    };
    Ok(QueryRequest {
        session,
        client_id,
        request_id,
        app,
        input_type,
        deadline: (deadline != 0).then(|| Duration::from_micros(deadline)),
        input,
    })
}

/// Appends the frames of a native answer, after its delimiter.
pub(super) fn encode_answer<F: MessageFrame>(answer: &Answer<'_>, out: &mut Vec<F>) {
    let timing = &answer.timing;
    let reason = truncated(answer.reason);
    let head = Header::new()
        .u64(answer.session)
        .u32(answer.request_id)
        .u32(answer.status as u32)
        .u32(answer.output_type.code())
        .u32(timing.batch_size)
        .u32(timing.replica_id)
        .u64(timing.queued)
        .u64(timing.away)
        .u64(timing.waited)
        .u64(timing.predicting)
        .u64(timing.replying)
        .u32(reason.len() as u32);
    if answer.output.len() < Input::<F>::SEPARATE_FROM {
        out.push(F::joined(&[head.bytes(), reason, answer.output]));
    } else {
        out.push(F::joined(&[head.bytes(), reason]));
        out.push(F::copied(answer.output));
    }
}

impl<'a> Answer<'a> {
    /// Reads a native answer, delimiter included.
    ///
    /// # Errors
    /// If the frames are not a valid answer.
    pub fn decode<F: MessageFrame>(frames: &'a [F]) -> Result<Answer<'a>, DecodeError> {
        let (head, output) = match frames {
            [_, head] => (head, None),
            [_, head, output] => (head, Some(output)),
            _ => {
                return Err(DecodeError::FrameCount {
                    what: "answer",
                    got: frames.len(),
                });
            }
        };
        let (mut head, rest) = Numbers::before(head.as_ref(), 72, "header of an answer")?;
        let answer = Answer {
            session: head.u64(),
            request_id: head.u32(),
            status: status(head.u32())?,
            output_type: data_type(head.u32())?,
            timing: Timing {
                batch_size: head.u32(),
                replica_id: head.u32(),
                queued: head.u64(),
                away: head.u64(),
                waited: head.u64(),
                predicting: head.u64(),
                replying: head.u64(),
            },
            reason: "",
            output: &[],
            lineage: Lineage::default(),
        };
        let (reason, rest) = split_text(rest, head.u32(), "reason of an answer")?;
        let output = match output {
            Some(output) if rest.is_empty() => output.as_ref(),
            Some(_) => {
                return Err(DecodeError::Inconsistent {
                    what: "an answer contains its output twice",
                });
            }
            None => rest,
        };
        Ok(Answer {
            reason,
            output,
            ..answer
        })
    }
}

/// Splits `length` bytes of text off the front.
fn split_text<'a>(
    bytes: &'a [u8],
    length: u32,
    what: &'static str,
) -> Result<(&'a str, &'a [u8]), DecodeError> {
    let (text, rest) = bytes
        .split_at_checked(length as usize)
        .ok_or(DecodeError::BadText { what })?;
    Ok((text_frame(text, what)?, rest))
}

/// Size in bytes to which texts are truncated; names and reasons are far shorter.
const MAX_TEXT: usize = 1 << 16;

fn truncated(text: &str) -> &[u8] {
    &text.as_bytes()[..text.floor_char_boundary(MAX_TEXT)]
}

fn status(code: u32) -> Result<AnswerStatus, DecodeError> {
    match code {
        0 => Ok(AnswerStatus::Ok),
        1 => Ok(AnswerStatus::Default),
        2 => Ok(AnswerStatus::Refused),
        3 => Ok(AnswerStatus::Error),
        other => Err(DecodeError::UnknownCode {
            what: "status of an answer",
            code: other.into(),
        }),
    }
}
