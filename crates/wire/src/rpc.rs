//! The container RPC: what the frontend and a model server say to each other, in four dialects ([`Version`]).
//!
//! Frames after the empty delimiter, from the model server (a number's size in bytes in brackets):
//!
//! | message      | 2017                                                    | high-performance                             | version 3                                          | version 4                                            |
//! |--------------|---------------------------------------------------------|----------------------------------------------|----------------------------------------------------|------------------------------------------------------|
//! | NewContainer | 0 (4), name, version, type as decimal text              | the same, to 7010                            | ..., 3 (4)                                         | ..., 4 (4), JSON [`Metadata`]                        |
//! | response     | 1 (4), message id (4), output type (4), size (4), block | to 7011: connection (4), the same, 2 times (8) | 1 (4), message id (4), size (8), sizes, outputs... | 1 (4), [`Response`] header (48), sizes, all outputs  |
//! | heartbeat    | 2 (4)                                                   | -                                            | 2 (4)                                              | 2 (4)                                                |
//! | error        | -                                                       | -                                            | -                                                  | 3 (4), session (8) + message id (4) + code (4), text |
//! | goodbye      | -                                                       | -                                            | -                                                  | 4 (4)                                                |
//!
//! and from the frontend, where every message opens with the version (4; not in the two older dialects) and the message
//! type (4; not in the high-performance registration reply):
//!
//! | message    | 2017                                                               | high-performance                                             | version 3                       | version 4                                          |
//! |------------|--------------------------------------------------------------------|--------------------------------------------------------------|---------------------------------|----------------------------------------------------|
//! | registered | -                                                                  | connection (4)                                               | -                               | 0, session (8) + replica (4) + heartbeat in ms (4) |
//! | request    | 1, message id (4), 0 (4), size (8), header, size (8), all inputs   | 1, message id (4), 0 (4), size (8), header, inputs...        | the same                        | 1, [`RequestHead`] (24), header, inputs...         |
//! | heartbeat  | 2, 0 keep-alive or 1 metadata wanted (4)                           | -                                                            | 2, 0 or 1 (4)                   | the same                                           |
//! | goodbye    | -                                                                  | -                                                            | -                               | 4                                                  |
//! | refused    | -                                                                  | -                                                            | -                               | 5, text                                            |
//!
//! A request's header is `u64[n + 2]`: input type, n, then the n sizes in bytes; `u32[n + 2]` in the high-performance
//! dialect. That of 2017 is `u32[n + 1]`: input type, n, then how many elements lie before the second input, the third and
//! so on; there a string is one element, with one NUL behind it. A response's sizes are `u64[n + 1]`: n,
//! then the sizes; in version 4 the top bit of a size marks an input that failed, and its bytes are the reason. The block
//! of the older dialects is n and the n sizes, each (4), then all outputs. Version 4
//! puts all outputs into one frame: 32 small frames cost the sender and the receiver more than one copy of each output.
//!
//! The two times are `f64`s, microseconds since the epoch on the model server's own clock (Clipper's take it in local time).

mod from_container;
mod from_frontend;
mod high_perf;
mod parts;
mod reply;
mod v2017;
mod v3;
mod v4;

pub use high_perf::Returned;

use std::{borrow::Cow, fmt, time::Duration};

use model::{DataType, ModelInfo, Predictions};
use serde::{Deserialize, Serialize};

use crate::DecodeError;

/// A dialect of the container RPC. Each but the last is a generation of Clipper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// The one of 2017: typed outputs, a batch in one frame. It opens with the same bytes as version 3 and wants another
    /// reply, so it has a port of its own.
    V2017,
    /// The high-performance one: two ports, times, and no heartbeats.
    HighPerf,
    /// Clipper's final one: outputs are text, no acknowledgement, no errors.
    V3,
    /// Our native dialect.
    V4,
}

impl Version {
    /// The number on the wire; the two older dialects have none.
    pub fn number(self) -> Option<u32> {
        match self {
            Version::V2017 | Version::HighPerf => None,
            Version::V3 => Some(3),
            Version::V4 => Some(4),
        }
    }

    /// The version with this number.
    ///
    /// # Errors
    /// If this number is not spoken here.
    pub fn from_number(number: u32) -> Result<Version, DecodeError> {
        match number {
            3 => Ok(Version::V3),
            4 => Ok(Version::V4),
            other => Err(DecodeError::UnknownCode {
                what: "RPC version that is spoken here (3 and 4 are)",
                code: other.into(),
            }),
        }
    }

    /// Whether a request can hold this input: in 2017 a string ends at its first NUL. What it cannot hold is sent empty, and
    /// the output that comes back for it means nothing.
    pub fn carries(self, input_type: DataType, input: &[u8]) -> bool {
        self != Version::V2017 || input_type != DataType::Strings || !input.contains(&0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V2017 => "the dialect of 2017",
            Version::HighPerf => "the high-performance dialect",
            Version::V3 => "version 3",
            Version::V4 => "version 4",
        })
    }
}

/// What a model server says to the frontend.
#[derive(Clone, Debug, PartialEq)]
pub enum FromContainer<'a> {
    /// A model server presents itself. Boxed: it comes once, and is far larger than the others.
    NewContainer(Box<NewContainer>),
    /// It lives.
    Heartbeat,
    /// The outputs of a batch.
    Response(Response<'a>),
    /// The whole batch failed.
    Error(BatchError<'a>),
    /// It stops, in good order.
    Goodbye,
}

/// What the frontend says to a model server. `F` is the transport's frame.
#[derive(Clone, Debug, PartialEq)]
pub enum FromFrontend<'a, F: Clone> {
    /// Registration is acknowledged.
    Registered(Registered),
    /// Registration is acknowledged in the high-performance dialect, by the connection that responses must name.
    Connection(u32),
    /// Registration is refused, and why; trying again is useless.
    Refused(&'a str),
    /// A batch to predict.
    Request(Request<'a, F>),
    /// It lives.
    KeepAlive,
    /// It does not know this model server: register, please.
    MetadataWanted,
    /// It stops, in good order.
    Goodbye,
}

/// The registration of a model server.
#[derive(Clone, Debug, PartialEq)]
pub struct NewContainer {
    /// The model's name.
    pub name: String,
    /// The model's version.
    pub version: String,
    /// The type of its inputs.
    pub input_type: DataType,
    /// Only version 4 has it.
    pub metadata: Option<Metadata>,
}

impl NewContainer {
    /// The RPC version, of the two that have a number, that registers like this.
    pub fn rpc_version(&self) -> Version {
        match self.metadata {
            None => Version::V3,
            Some(_) => Version::V4,
        }
    }
}

/// What a version-4 model server tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// The program's name.
    pub server: String,
    /// The program's version.
    pub server_version: String,
    /// The name of its machine or container; empty from servers that do not say it.
    #[serde(default)]
    pub host: String,
    /// Its process id, in its own PID namespace.
    pub pid: u32,
    /// How many batches it wants in flight: 2 is one computing and one waiting.
    pub batches_in_flight: u32,
    /// What the model says of itself.
    #[serde(flatten)]
    pub model: ModelInfo,
}

/// The acknowledgement of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Drawn at every start of a frontend; what belongs to another session is dropped.
    pub session: u64,
    /// The replica's number among those of its model version.
    pub replica_id: u32,
    /// How often the model server must say that it lives.
    pub heartbeat: Duration,
}

/// A batch to predict.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a, F: Clone> {
    /// What stands before the inputs.
    pub head: RequestHead,
    /// The inputs, one frame each: the last frames of the message, but in the dialect of 2017, which has them in one.
    pub inputs: Cow<'a, [F]>,
}

/// What a request says of its inputs. On the wire, version 4: session (8), message id (4), 0 (4), microseconds left (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The frontend's session; only in version 4.
    pub session: Option<u64>,
    /// Names the batch in its response.
    pub message_id: u32,
    /// Time left until the earliest deadline in the batch; `None` if there is none, and in all other versions.
    pub time_left: Option<Duration>,
    /// The type of every input.
    pub input_type: DataType,
}

/// The outputs of a batch. On the wire, version 4: session (8), message id (4), output type (4), [`Times`] (4 x 8).
#[derive(Clone, Debug, PartialEq)]
pub struct Response<'a> {
    /// The frontend's session, from the request; only in version 4.
    pub session: Option<u64>,
    /// The request's.
    pub message_id: u32,
    /// The type of every output; strings in version 3.
    pub output_type: DataType,
    /// One output, or the reason why there is none, per input.
    pub outputs: Vec<Result<&'a [u8], &'a str>>,
    /// When the model server did what; `None` in version 3 and 2017.
    pub times: Option<Times>,
}

/// Predictions on their way to the frontend.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The frontend's session, from the request; only in version 4.
    pub session: Option<u64>,
    /// The request's.
    pub message_id: u32,
    /// The model's output type, which holds where every input failed.
    pub output_type: DataType,
    /// One per input.
    pub predictions: Predictions,
    /// When the model server did what.
    pub times: Times,
}

/// Points in time in microseconds on the model server's own clock: only their differences mean anything.
///
/// The high-performance dialect has the first and the last: then all between counts as the model's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The request arrived.
    pub received: u64,
    /// The model began.
    pub begun: u64,
    /// The model ended.
    pub ended: u64,
    /// The response was sent.
    pub sent: u64,
}

impl Times {
    /// Microseconds from the request's arrival until the model began.
    pub fn waited(&self) -> u64 {
        self.begun.saturating_sub(self.received)
    }

    /// Microseconds while the model computed.
    pub fn predicting(&self) -> u64 {
        self.ended.saturating_sub(self.begun)
    }

    /// Microseconds from the model's end until the response was sent.
    pub fn replying(&self) -> u64 {
        self.sent.saturating_sub(self.ended)
    }
}

/// A batch that failed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchError<'a> {
    /// The frontend's session, from the request.
    pub session: u64,
    /// The request's.
    pub message_id: u32,
    /// Whose fault it is.
    pub code: ErrorCode,
    /// What happened, for the client to read.
    pub text: &'a str,
}

/// Why a batch failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The request makes no sense to this model server.
    BadRequest = 1,
    /// The model failed.
    ModelFailed = 2,
}

const NEW_CONTAINER: u32 = 0;
const CONTENT: u32 = 1;
const HEARTBEAT: u32 = 2;
const ERROR: u32 = 3;
const GOODBYE: u32 = 4;
const REFUSED: u32 = 5;

/// Set in the size of an output that is the reason why there is none.
const FAILED: u64 = 1 << 63;

/// The request type of a prediction, the only one that is ever sent.
const PREDICT: u32 = 0;

/// In place of the microseconds left: there is no deadline.
const NO_DEADLINE: u64 = u64::MAX;
