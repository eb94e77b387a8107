//! Container RPC: the protocol between frontend and model servers, in four dialects ([`Version`]).
//!
//! Frames after the empty delimiter, with sizes in bytes in parentheses. A `+` joins parts of one
//! frame. Messages from the model server:
//!
//! - Registration ([`NewContainer`]):
//!   - 2017: 0 (4), name, version, input type as decimal text
//!   - high-performance: the same, to port 7010
//!   - version 3: as in 2017, then 3 (4)
//!   - version 4: as in 2017, then 4 (4), [`Metadata`] as JSON
//! - Response:
//!   - 2017: 1 (4), message id (4), output type (4), size (4), block of outputs
//!   - high-performance: connection (4), then as in 2017, then two times (8); to port 7011
//!   - version 3: 1 (4), message id (4), size of the next frame (8), sizes, one frame per output
//!   - version 4: 1 (4), [`Response`] header (48), sizes, all outputs
//! - Heartbeat, except high-performance: 2 (4)
//! - Error, only version 4: 3 (4), session (8) + message id (4) + code (4), text
//! - Goodbye, only version 4: 4 (4)
//!
//! Messages from the frontend begin with the version (4) in versions 3 and 4, and with the message
//! type (4) in all but the high-performance registration reply:
//!
//! - Registration reply:
//!   - high-performance: connection (4)
//!   - version 4: 0, session (8) + replica id (4) + heartbeat interval in milliseconds (4)
//! - Request:
//!   - 2017: 1, message id (4), 0 (4), size (8), header, size (8), all inputs
//!   - high-performance and version 3: 1, message id (4), 0 (4), size (8), header, one frame per
//!     input
//!   - version 4: 1, [`RequestHead`] (24), header, one frame per input
//! - Heartbeat, except high-performance: 2, then 0 for keep-alive or 1 for "metadata wanted" (4)
//! - Goodbye, only version 4: 4
//! - Refusal, only version 4: 5, text
//!
//! The header of a request is `u64[n + 2]`: input type, n, then the n sizes in bytes. In the
//! high-performance dialect it is `u32[n + 2]`. In 2017 it is `u32[n + 1]`: input type, n, then the
//! number of elements before the second input, the third and so on; a string is one element,
//! followed by one NUL.
//!
//! The sizes of a response are `u64[n + 1]`: n, then the sizes. In version 4 the top bit of a size
//! marks an input that failed, and its bytes are the reason. The block of the older dialects is n
//! and the n sizes, each (4), then all outputs. Version 4 puts all outputs into one frame: 32 small
//! frames cost the sender and the receiver more than one copy of each output.
//!
//! The two times are `f64`s, microseconds since the epoch on the model server's own clock.
//! Clipper's model servers use local time.

mod from_container;
mod from_frontend;
mod high_perf;
mod parts;
mod reply;
mod v2017;
mod v3;
mod v4;

pub use high_perf::ConnectionResponse;

use std::{borrow::Cow, fmt, time::Duration};

use model::{DataType, ModelInfo, Predictions};
use serde::{Deserialize, Serialize};

use crate::DecodeError;

/// Dialect of the container RPC. All but the last are generations of Clipper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// Dialect of 2017: typed outputs, and one frame per batch. Its registration begins like
    /// version 3 but needs another reply, so it has a port of its own.
    V2017,
    /// High-performance dialect: two ports, times, and no heartbeats.
    HighPerf,
    /// Clipper's final dialect: text outputs, no acknowledgement and no errors.
    V3,
    /// Our native dialect.
    V4,
}

impl Version {
    /// Returns the number on the wire; the two older dialects have none.
    pub fn number(self) -> Option<u32> {
        match self {
            Version::V2017 | Version::HighPerf => None,
            Version::V3 => Some(3),
            Version::V4 => Some(4),
        }
    }

    /// Returns the version with this number.
    ///
    /// # Errors
    /// If the version is not supported.
    pub fn from_number(number: u32) -> Result<Version, DecodeError> {
        match number {
            3 => Ok(Version::V3),
            4 => Ok(Version::V4),
            other => Err(DecodeError::UnknownCode {
                what: "RPC version (3 and 4 are supported)",
                code: other.into(),
            }),
        }
    }

    /// Returns true if a request can contain this input. In 2017 a string ends at its first NUL: a
    /// string with a NUL is sent empty, and its output is meaningless.
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

/// Message from a model server to the frontend.
#[derive(Clone, Debug, PartialEq)]
pub enum FromContainer<'a> {
    /// Registration of a model server. Boxed, because it is rare and far larger than the others.
    NewContainer(Box<NewContainer>),
    /// Sign that the model server is alive.
    Heartbeat,
    /// Outputs of a batch.
    Response(Response<'a>),
    /// Failure of a whole batch.
    Error(BatchError<'a>),
    /// Orderly shutdown of the model server.
    Goodbye,
}

/// Message from the frontend to a model server. `F` is the transport's frame.
#[derive(Clone, Debug, PartialEq)]
pub enum FromFrontend<'a, F: Clone> {
    /// Acknowledgement of a registration.
    Registered(Registered),
    /// Acknowledgement in the high-performance dialect, with the connection id for responses.
    Connection(u32),
    /// Refusal of a registration, with the reason; another attempt is useless.
    Refused(&'a str),
    /// Batch to predict.
    Request(BatchRequest<'a, F>),
    /// Sign that the frontend is alive.
    KeepAlive,
    /// Request to register, because the frontend has no registration of this model server.
    MetadataWanted,
    /// Orderly shutdown of the frontend.
    Goodbye,
}

/// Registration of a model server.
#[derive(Clone, Debug, PartialEq)]
pub struct NewContainer {
    /// Name of the model.
    pub name: String,
    /// Version of the model.
    pub version: String,
    /// Type of the inputs.
    pub input_type: DataType,
    /// Metadata; only in version 4.
    pub metadata: Option<Metadata>,
}

impl NewContainer {
    /// Returns the version of this registration, out of the two with a number.
    pub fn rpc_version(&self) -> Version {
        match self.metadata {
            None => Version::V3,
            Some(_) => Version::V4,
        }
    }
}

/// Metadata of a version-4 model server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Name of the program.
    pub server: String,
    /// Version of the program.
    pub server_version: String,
    /// Name of the machine or container; empty if the server does not send it.
    #[serde(default)]
    pub host: String,
    /// Process id, in the server's own PID namespace.
    pub pid: u32,
    /// Maximum number of batches in flight; 2 means one computing and one waiting.
    pub batches_in_flight: u32,
    /// Description of the model.
    #[serde(flatten)]
    pub model: ModelInfo,
}

/// Acknowledgement of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Random number of each start of a frontend; messages of other sessions are dropped.
    pub session: u64,
    /// Number of the replica among those of its model version.
    pub replica_id: u32,
    /// Interval of the model server's heartbeats.
    pub heartbeat: Duration,
}

/// Batch to predict.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRequest<'a, F: Clone> {
    /// Head of the request.
    pub head: RequestHead,
    /// Inputs, one frame each: the last frames of the message. The dialect of 2017 has all inputs
    /// in one frame.
    pub inputs: Cow<'a, [F]>,
}

/// Head of a request. In version 4: session (8), message id (4), 0 (4), microseconds left (8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Session of the frontend; only in version 4.
    pub session: Option<u64>,
    /// Id of the batch, repeated in its response.
    pub message_id: u32,
    /// Time left until the earliest deadline in the batch; `None` without one, and in all other
    /// versions.
    pub time_left: Option<Duration>,
    /// Type of every input.
    pub input_type: DataType,
}

/// Outputs of a batch. The header of version 4 is: session (8), message id (4), output type (4),
/// [`Times`] (4 x 8).
#[derive(Clone, Debug, PartialEq)]
pub struct Response<'a> {
    /// Session of the frontend, from the request; only in version 4.
    pub session: Option<u64>,
    /// Id of the batch, from the request.
    pub message_id: u32,
    /// Type of every output; strings in version 3.
    pub output_type: DataType,
    /// Output, or reason of the failure, by input.
    pub outputs: Vec<Result<&'a [u8], &'a str>>,
    /// Timestamps of the model server; `None` in version 3 and 2017.
    pub times: Option<Times>,
}

/// Predictions of a batch, to be encoded as a response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Session of the frontend, from the request; only in version 4.
    pub session: Option<u64>,
    /// Id of the batch, from the request.
    pub message_id: u32,
    /// Output type of the model, valid even if every input failed.
    pub output_type: DataType,
    /// One prediction per input.
    pub predictions: Predictions,
    /// Timestamps of the model server.
    pub times: Times,
}

/// Timestamps in microseconds on the model server's own clock; only their differences are
/// meaningful.
///
/// The high-performance dialect has only the first and the last, and all time between counts as
/// computing time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Arrival of the request.
    pub received: u64,
    /// Start of the model.
    pub begun: u64,
    /// End of the model.
    pub ended: u64,
    /// Sending of the response.
    pub sent: u64,
}

impl Times {
    /// Returns the microseconds from the request's arrival until the model began.
    pub fn waited(&self) -> u64 {
        self.begun.saturating_sub(self.received)
    }

    /// Returns the computing time of the model in microseconds.
    pub fn predicting(&self) -> u64 {
        self.ended.saturating_sub(self.begun)
    }

    /// Returns the microseconds from the model's end until the response was sent.
    pub fn replying(&self) -> u64 {
        self.sent.saturating_sub(self.ended)
    }
}

/// Failure of a whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchError<'a> {
    /// Session of the frontend, from the request.
    pub session: u64,
    /// Id of the batch, from the request.
    pub message_id: u32,
    /// Cause of the failure.
    pub code: ErrorCode,
    /// Description for the client. It contains [`OUT_OF_MEMORY`] if the model ran out of memory.
    pub text: &'a str,
}

impl BatchError<'_> {
    /// Returns true if the model ran out of memory, so that a smaller batch may succeed.
    pub fn is_out_of_memory(&self) -> bool {
        self.text.to_ascii_lowercase().contains(OUT_OF_MEMORY)
    }
}

/// Text by which a frontend recognises that a model ran out of memory, in upper or lower case. It is
/// not an [`ErrorCode`], because older frontends remove a replica that sends a code unknown to them.
pub const OUT_OF_MEMORY: &str = "out of memory";

/// Cause of a batch's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The request is not valid for this model server.
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

/// Bit in the size of an output that marks the reason of a failure.
const FAILED: u64 = 1 << 63;

/// Request type of a prediction, the only type that is sent.
const PREDICT: u32 = 0;

/// Value of the microseconds left for a batch without a deadline.
const NO_DEADLINE: u64 = u64::MAX;
