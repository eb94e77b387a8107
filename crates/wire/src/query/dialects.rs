//! Requests and answers in all dialects.

use model::element_count;

use super::{Answer, Dialect, Input, QueryRequest, native};
use crate::{
    DecodeError, MessageFrame,
    codec::{data_type, text_frame, u32_frame},
};

impl<'a, F: MessageFrame> QueryRequest<'a, F> {
    /// Reads a request of any dialect, delimiter included. The number of frames distinguishes
    /// Clipper's from ours.
    ///
    /// # Errors
    /// If the frames are not a valid request.
    pub fn decode(frames: &'a [F]) -> Result<QueryRequest<'a, F>, DecodeError> {
        let request = match frames {
            [_, head] => native::decode_request(head, None)?,
            [_, head, input] => native::decode_request(head, Some(input))?,
            [_, client, request, app, code, count, input] => {
                let request = QueryRequest {
                    session: None,
                    client_id: u32_frame(client.as_ref(), "client id")?,
                    request_id: u32_frame(request.as_ref(), "request id")?,
                    app: text_frame(app.as_ref(), "application name")?,
                    input_type: data_type(u32_frame(code.as_ref(), "input type")?)?,
                    deadline: None,
                    input: Input::Frame(input),
                };
                let count = u32_frame(count.as_ref(), "number of elements")?;
                let size = u64::from(count) * request.input_type.element_size() as u64;
                if size != input.as_ref().len() as u64 {
                    return Err(DecodeError::Inconsistent {
                        what: "the size of a request's input differs from its number of elements",
                    });
                }
                request
            }
            _ => {
                return Err(DecodeError::FrameCount {
                    what: "request",
                    got: frames.len(),
                });
            }
        };
        element_count(request.input_type, request.input.as_ref()).map_err(|_| {
            DecodeError::Inconsistent {
                what: "the size of a request's input is not a multiple of its element size",
            }
        })?;
        Ok(request)
    }
}

impl Answer<'_> {
    /// Appends the frames of the answer.
    pub fn encode<F: MessageFrame>(&self, dialect: Dialect, out: &mut Vec<F>) {
        out.push(F::copied(&[]));
        if dialect == Dialect::Native {
            return native::encode_answer(self, out);
        }
        out.push(F::copied(&self.request_id.to_le_bytes()));
        out.push(F::copied(&self.output_type.code().to_le_bytes()));
        if dialect == Dialect::HighPerf {
            let size = u32::try_from(self.output.len()).unwrap_or(u32::MAX);
            out.push(F::copied(&size.to_le_bytes()));
        }
        out.push(F::copied(self.output));
        if dialect == Dialect::HighPerf {
            self.lineage.encode(out);
        }
    }
}
