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
//! | request       | client id (4), request id (4), app, type (4), elements (4), data  | the same                                                               | [`Request`] header (32) + app + data |
//! | answer        | request id (4), type (4), output                                  | request id (4), type (4), bytes (4), output, entries (4), [`Lineage`]: name, time (8)... | [`Answer`] header (72) + reason + output |
//!
//! A native request or answer is one frame, because each frame costs both sides more than the copy of a small input; data or an
//! output of [`Input::SEPARATE_FROM`] bytes and more is a frame of its own.

mod dialects;
mod lineage;
mod native;

pub use lineage::{ContainerTimes, Lineage};

use std::time::Duration;

use model::DataType;

use crate::{
    DecodeError, Frame,
    codec::{Header, Numbers},
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
///
/// # Errors
/// If the frames are not such a message: the peer is at fault.
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
    ///
    /// # Errors
    /// If the frames are not such a message: the peer is at fault.
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
/// deadline (8, 0 = the application's latency objective), bytes of the application's name (4).
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
    pub input: Input<'a, F>,
}

/// An input: a frame of its own, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input<'a, F> {
    /// A frame of its own.
    Frame(&'a F),
    /// A part of the request's frame.
    Part(&'a [u8]),
}

impl<F: Frame> Input<'_, F> {
    /// Bytes from which sending on without a copy is worth a frame.
    pub const SEPARATE_FROM: usize = 4_096;

    /// The input as a frame to keep; only a small one is copied.
    pub fn keep(&self) -> F {
        match self {
            Input::Frame(frame) => frame.keep(),
            Input::Part(bytes) => F::copied(bytes),
        }
    }
}

impl<F: AsRef<[u8]>> AsRef<[u8]> for Input<'_, F> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Input::Frame(frame) => frame.as_ref(),
            Input::Part(bytes) => bytes,
        }
    }
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
/// On the wire, native: session (8), request id (4), status (4), output type (4), batch size (4), replica id (4),
/// [`Timing`] in microseconds (5 x 8), bytes of the reason (4).
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
