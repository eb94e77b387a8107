//! ZeroMQ client protocol: connect messages and answers on port 4455, requests on 4456.
//!
//! A client that connects with [`NATIVE_MARK`] speaks our dialect, one with [`HIGH_PERF_MARK`] that
//! of Clipper's high-performance generation. Clipper's own clients of both generations send the
//! same connect message, so the frontend's settings must say which they are.
//!
//! Frames after the empty delimiter, with sizes in bytes in parentheses. A `+` joins parts of one
//! frame.
//!
//! - Connect message:
//!   - 2017: any content, which is ignored
//!   - high-performance: the same, or `CLIPH`
//!   - native: `CLIP4`
//! - Connect reply:
//!   - 2017 and high-performance: client id (4)
//!   - native: session (8) + client id (4)
//! - Request:
//!   - 2017 and high-performance: client id (4), request id (4), application, input type (4),
//!     number of elements (4), data
//!   - native: [`QueryRequest`] header (32) + application + data
//! - Answer:
//!   - 2017: request id (4), output type (4), output
//!   - high-performance: request id (4), output type (4), size of the output (4), output, number of
//!     entries (4), then the name and the time (8) of each entry of the [`Lineage`]
//!   - native: [`Answer`] header (72) + reason + output
//!
//! A native request or answer is one frame, because each frame costs both sides more than the copy
//! of a small input. Data or an output of at least [`Input::SEPARATE_FROM`] bytes is a frame of its
//! own.

mod dialects;
mod lineage;
mod native;

pub use lineage::{ContainerTimes, Lineage};

use std::time::Duration;

use model::DataType;

use crate::{
    DecodeError, MessageFrame,
    codec::{Header, Numbers},
};

/// Content of the connect frame that requests the native dialect.
pub const NATIVE_MARK: &[u8] = b"CLIP4";

/// Content of the connect frame that requests the high-performance dialect.
pub const HIGH_PERF_MARK: &[u8] = b"CLIPH";

/// Dialect of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Dialect of Clipper's generation of 2017.
    V2017,
    /// Dialect of Clipper's high-performance generation: answers contain times.
    HighPerf,
    /// Our own dialect.
    Native,
}

/// Reads a connect message, delimiter included, and returns the requested dialect. `None` if there
/// is none, as with Clipper's clients.
///
/// # Errors
/// If the frames are not a valid connect message.
pub fn decode_connect<F: MessageFrame>(frames: &[F]) -> Result<Option<Dialect>, DecodeError> {
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

/// Appends the frames of a connect message that requests the native dialect.
pub fn encode_connect<F: MessageFrame>(out: &mut Vec<F>) {
    out.push(F::copied(&[]));
    out.push(F::copied(NATIVE_MARK));
}

/// Reply to a connect message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Session of the frontend; it drops requests of other sessions.
    pub session: u64,
    /// Id of the client, for its requests.
    pub client_id: u32,
}

impl Connected {
    /// Appends the frames of the reply.
    pub fn encode<F: MessageFrame>(&self, dialect: Dialect, out: &mut Vec<F>) {
        out.push(F::copied(&[]));
        out.push(match dialect {
            Dialect::V2017 | Dialect::HighPerf => F::copied(&self.client_id.to_le_bytes()),
            Dialect::Native => Header::new().u64(self.session).u32(self.client_id).frame(),
        });
    }

    /// Reads a native reply.
    ///
    /// # Errors
    /// If the frames are not a valid connect reply.
    pub fn decode<F: MessageFrame>(frames: &[F]) -> Result<Connected, DecodeError> {
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

/// Query of a client.
///
/// The native header is: session (8), client id (4), request id (4), input type (4), microseconds
/// until the deadline (8; 0 for the application's latency objective), size of the application's
/// name (4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryRequest<'a, F> {
    /// Session of the frontend; `None` in Clipper's dialects.
    pub session: Option<u64>,
    /// Id of the client.
    pub client_id: u32,
    /// Id that the client chooses, repeated in the answer.
    pub request_id: u32,
    /// Name of the application.
    pub app: &'a str,
    /// Type of the input.
    pub input_type: DataType,
    /// Time until the query's deadline; `None` for the application's latency objective.
    pub deadline: Option<Duration>,
    /// Input of the query.
    pub input: Input<'a, F>,
}

/// Input of a query: a frame of its own, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input<'a, F> {
    /// Frame of its own.
    Frame(&'a F),
    /// Part of the request's frame.
    Part(&'a [u8]),
}

impl<F: MessageFrame> Input<'_, F> {
    /// Size in bytes from which a frame of its own is cheaper than a copy.
    pub const SEPARATE_FROM: usize = 4_096;

    /// Returns the input as a frame that outlives the message; only a small one is copied.
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

/// Status of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerStatus {
    /// The output is the model's.
    Ok = 0,
    /// The output is the application's default, because the deadline passed or no replica could
    /// answer.
    Default = 1,
    /// The frontend refused the query.
    Refused = 2,
    /// The model failed on the query; the output is the default.
    Error = 3,
}

/// Answer to a query.
///
/// The native header is: session (8), request id (4), status (4), output type (4), batch size (4),
/// replica id (4), [`Timing`] in microseconds (5 x 8), size of the reason (4).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer<'a> {
    /// Session of the frontend.
    pub session: u64,
    /// Id of the request.
    pub request_id: u32,
    /// Status of the answer.
    pub status: AnswerStatus,
    /// Reason for a status other than [`AnswerStatus::Ok`]; otherwise empty.
    pub reason: &'a str,
    /// Type of the output.
    pub output_type: DataType,
    /// Output of the model, or the default output.
    pub output: &'a [u8],
    /// Time breakdown of the query.
    pub timing: Timing,
    /// Timestamps of the query; only for the high-performance dialect.
    pub lineage: Lineage,
}

/// Time breakdown of a query, in microseconds; all zero if it never reached a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Number of queries in the batch; 0 without a batch.
    pub batch_size: u32,
    /// Number of the replica that answered.
    pub replica_id: u32,
    /// Time from the query's arrival at the frontend until its batch was sent.
    pub queued: u64,
    /// Time from then until the batch's response arrived.
    pub away: u64,
    /// Time in the model server from the batch's arrival until the model began.
    pub waited: u64,
    /// Computing time of the model.
    pub predicting: u64,
    /// Time in the model server from the model's end until the response was sent.
    pub replying: u64,
}
