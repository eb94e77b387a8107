//! The ZeroMQ client protocol: connect and answers on 4455, requests on 4456.
//!
//! A client that connects with [`NATIVE_MARK`] speaks our dialect, one with [`HIGH_PERF_MARK`] that of Clipper's
//! high-performance generation. Clipper's own clients of both generations connect alike, so that it is for the frontend to
//! know which they are. Frames after the empty delimiter (a number's size in bytes in brackets):
//!
//! | message       | Clipper's of 2017                                                 | high-performance                                                       | native                               |
//! |---------------|-------------------------------------------------------------------|------------------------------------------------------------------------|--------------------------------------|
//! | connect       | anything, which is ignored                                        | the same, or `CLIPH`                                                   | `CLIP4`                              |
//! | connect reply | client id (4)                                                     | the same                                                               | session (8) + client id (4)          |
//! | request       | client id (4), request id (4), app, type (4), elements (4), data  | the same                                                               | [`Request`] header (28), app, data   |
//! | answer        | request id (4), type (4), output                                  | request id (4), type (4), bytes (4), output, entries (4), [`Lineage`]: name, time (8)... | [`Answer`] header (68), reason, output |
//!
//! The native request is three frames instead of six because each frame costs both sides.

mod lineage;

pub use lineage::Lineage;

use std::time::Duration;

use model::{DataType, element_count};

use crate::{
    DecodeError, Frame,
    codec::{Header, Numbers, data_type, micros, text_frame, u32_frame},
};

/// The content of the connect frame that asks for the native dialect.
pub const NATIVE_MARK: &[u8] = b"CLIP4";

/// The content of the connect frame that asks for the high-performance dialect.
pub const HIGH_PERF_MARK: &[u8] = b"CLIPH";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Clipper's of 2017.
    V2017,
    /// Clipper's high-performance generation's: answers carry times.
    HighPerf,
    /// Ours.
    Native,
}

/// Reads a connect message, delimiter included, and answers which dialect the client asks for; `None` if it does not, as
/// Clipper's clients.
pub fn decode_connect<F: Frame>(frames: &[F]) -> Result<Option<Dialect>, DecodeError> {
    match frames {
        [delimiter, mark] if delimiter.as_ref().is_empty() => Ok(match mark.as_ref() {
            NATIVE_MARK => Some(Dialect::Native),
            HIGH_PERF_MARK => Some(Dialect::HighPerf),
            _ => None,
        }),
        _ => Err(DecodeError::FrameCount {
            what: "connect message",
            got: frames.len(),
        }),
    }
}

/// Appends the frames of a connect message that asks for the native dialect.
pub fn encode_connect<F: Frame>(out: &mut Vec<F>) {
    out.push(F::copied(&[]));
    out.push(F::copied(NATIVE_MARK));
}

/// The reply to a connect message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The frontend's session: a request of another one is dropped.
    pub session: u64,
    /// The client's id, which its requests carry.
    pub client_id: u32,
}

impl Connected {
    /// Appends the frames of the reply.
    pub fn encode<F: Frame>(&self, dialect: Dialect, out: &mut Vec<F>) {
        out.push(F::copied(&[]));
        out.push(match dialect {
            Dialect::V2017 | Dialect::HighPerf => F::copied(&self.client_id.to_le_bytes()),
            Dialect::Native => Header::new().u64(self.session).u32(self.client_id).frame(),
        });
    }

    /// Reads a native reply.
    pub fn decode<F: Frame>(frames: &[F]) -> Result<Connected, DecodeError> {
        let [_, body] = frames else {
            return Err(DecodeError::FrameCount {
                what: "connect reply",
                got: frames.len(),
            });
        };
        let mut body = Numbers::of(body.as_ref(), 12, "connect reply")?;
        Ok(Connected {
            session: body.u64(),
            client_id: body.u32(),
        })
    }
}

/// A query. On the wire, native: session (8), client id (4), request id (4), input type (4), microseconds until the
/// deadline (8, 0 = the application's latency objective).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request<'a, F> {
    /// The frontend's session; `None` in Clipper's protocol.
    pub session: Option<u64>,
    /// Who asks.
    pub client_id: u32,
    /// Chosen by the client, echoed in the answer.
    pub request_id: u32,
    /// The application.
    pub app: &'a str,
    /// The type of the input.
    pub input_type: DataType,
    /// Time until the query is of no use any more, if it is not the application's.
    pub deadline: Option<Duration>,
    /// The input.
    pub input: &'a F,
}

impl<'a, F: Frame> Request<'a, F> {
    /// Reads a request of any dialect, delimiter included: the number of frames tells Clipper's from ours.
    pub fn decode(frames: &'a [F]) -> Result<Request<'a, F>, DecodeError> {
        let request = match frames {
            [_, header, app, input] => decode_native(header, app, input)?,
            [_, client, request, app, code, count, input] => {
                let request = Request {
                    session: None,
                    client_id: u32_frame(client.as_ref(), "client id")?,
                    request_id: u32_frame(request.as_ref(), "request id")?,
                    app: text_frame(app.as_ref(), "application name")?,
                    input_type: data_type(u32_frame(code.as_ref(), "input type")?)?,
                    deadline: None,
                    input,
                };
                let count = u32_frame(count.as_ref(), "number of elements")?;
                let size = u64::from(count) * request.input_type.element_size() as u64;
                if size != input.as_ref().len() as u64 {
                    return Err(DecodeError::Inconsistent {
                        what: "a request's input is not as long as it says",
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
                what: "a request's input does not hold whole elements",
            }
        })?;
        Ok(request)
    }

    /// Appends the frames of a native request.
    pub fn encode(&self, out: &mut Vec<F>) {
        let deadline = self.deadline.map_or(0, micros);
        out.push(F::copied(&[]));
        out.push(
            Header::new()
                .u64(self.session.unwrap_or_default())
                .u32(self.client_id)
                .u32(self.request_id)
                .u32(self.input_type.code())
                .u64(deadline)
                .frame(),
        );
        out.push(F::copied(self.app.as_bytes()));
        out.push(self.input.clone());
    }
}

fn decode_native<'a, F: Frame>(
    header: &F,
    app: &'a F,
    input: &'a F,
) -> Result<Request<'a, F>, DecodeError> {
    let mut header = Numbers::of(header.as_ref(), 28, "header of a request")?;
    let session = Some(header.u64());
    let client_id = header.u32();
    let request_id = header.u32();
    let input_type = data_type(header.u32())?;
    let deadline = header.u64();
    Ok(Request {
        session,
        client_id,
        request_id,
        app: text_frame(app.as_ref(), "application name")?,
        input_type,
        deadline: (deadline != 0).then(|| Duration::from_micros(deadline)),
        input,
    })
}

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The model's answer.
    Ok = 0,
    /// The application's default output, because the time was up or nobody could answer.
    Default = 1,
    /// Not taken: the request makes no sense here.
    Refused = 2,
    /// The model failed on it; the output is the default.
    Error = 3,
}

/// The answer to a query.
///
/// On the wire, native: session (8), request id (4), status (4), output type (4), batch size (4), replica id (4), then
/// [`Timing`] in microseconds (5 x 8).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer<'a> {
    /// The frontend's session.
    pub session: u64,
    /// The request's.
    pub request_id: u32,
    /// How it ended.
    pub status: Status,
    /// Why, where it is not [`Status::Ok`]; else empty.
    pub reason: &'a str,
    /// The type of the output.
    pub output_type: DataType,
    /// The output.
    pub output: &'a [u8],
    /// Where the time went.
    pub timing: Timing,
    /// When it passed where: only for the high-performance dialect.
    pub lineage: Lineage,
}

/// Where a query's time went, in microseconds; all zero if it never reached a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Queries in its batch; 0 if it was in none.
    pub batch_size: u32,
    /// The replica that answered.
    pub replica_id: u32,
    /// From its arrival at the frontend until its batch was sent.
    pub queued: u64,
    /// From then until the batch's response came back.
    pub away: u64,
    /// In the model server: from the batch's arrival until the model began.
    pub waited: u64,
    /// In the model server: while the model computed.
    pub predicting: u64,
    /// In the model server: from the model's end until the response was sent.
    pub replying: u64,
}

impl<'a> Answer<'a> {
    /// Appends the frames of the answer.
    pub fn encode<F: Frame>(&self, dialect: Dialect, out: &mut Vec<F>) {
        out.push(F::copied(&[]));
        match dialect {
            Dialect::V2017 => self.open(out),
            Dialect::HighPerf => {
                self.open(out);
                let size = u32::try_from(self.output.len()).unwrap_or(u32::MAX);
                out.push(F::copied(&size.to_le_bytes()));
            }
            Dialect::Native => {
                out.push(
                    Header::new()
                        .u64(self.session)
                        .u32(self.request_id)
                        .u32(self.status as u32)
                        .u32(self.output_type.code())
                        .u32(self.timing.batch_size)
                        .u32(self.timing.replica_id)
                        .u64(self.timing.queued)
                        .u64(self.timing.away)
                        .u64(self.timing.waited)
                        .u64(self.timing.predicting)
                        .u64(self.timing.replying)
                        .frame(),
                );
                out.push(F::copied(self.reason.as_bytes()));
            }
        }
        out.push(F::copied(self.output));
        if dialect == Dialect::HighPerf {
            self.lineage.encode(out);
        }
    }

    /// What Clipper's answers begin with.
    fn open<F: Frame>(&self, out: &mut Vec<F>) {
        out.push(F::copied(&self.request_id.to_le_bytes()));
        out.push(F::copied(&self.output_type.code().to_le_bytes()));
    }

    /// Reads a native answer, delimiter included.
    pub fn decode<F: Frame>(frames: &'a [F]) -> Result<Answer<'a>, DecodeError> {
        let [_, header, reason, output] = frames else {
            return Err(DecodeError::FrameCount {
                what: "answer",
                got: frames.len(),
            });
        };
        let mut header = Numbers::of(header.as_ref(), 68, "header of an answer")?;
        Ok(Answer {
            session: header.u64(),
            request_id: header.u32(),
            status: status(header.u32())?,
            reason: text_frame(reason.as_ref(), "reason of an answer")?,
            output_type: data_type(header.u32())?,
            output: output.as_ref(),
            timing: Timing {
                batch_size: header.u32(),
                replica_id: header.u32(),
                queued: header.u64(),
                away: header.u64(),
                waited: header.u64(),
                predicting: header.u64(),
                replying: header.u64(),
            },
            lineage: Lineage::default(),
        })
    }
}

fn status(code: u32) -> Result<Status, DecodeError> {
    match code {
        0 => Ok(Status::Ok),
        1 => Ok(Status::Default),
        2 => Ok(Status::Refused),
        3 => Ok(Status::Error),
        other => Err(DecodeError::UnknownCode {
            what: "status of an answer",
            code: other.into(),
        }),
    }
}
