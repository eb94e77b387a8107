//! Reads the body of a request within limits of size and time.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
};

/// The limits of a request's body.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// Largest size, in bytes.
    pub(super) size: usize,
    /// Time limit for the whole body.
    pub(super) time: Duration,
}

/// The error of a body that could not be read.
#[derive(Debug)]
pub(super) struct UnreadableBody {
    pub(super) status: StatusCode,
    pub(super) cause: String,
}

impl BodyLimits {
    /// Reads the body.
    pub(super) async fn read(
        self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Bytes, UnreadableBody> {
        let BodyLimits { size, time } = self;
        let too_large = || UnreadableBody {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            cause: format!("the body is larger than {size} bytes (see --max_body_mib)"),
        };
        if headers.contains_key(header::CONTENT_ENCODING) {
            return Err(UnreadableBody {
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                cause: "compressed bodies are not supported".into(),
            });
        }
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > size) {
            return Err(too_large());
        }
        match tokio::time::timeout(time, axum::body::to_bytes(body, size)).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(_)) if length.is_none() => Err(too_large()),
            // The connection broke, so no client reads this error.
            Ok(Err(_)) => Err(UnreadableBody {
                status: StatusCode::BAD_REQUEST,
                cause: "the body ended early".into(),
            }),
            Err(_) => Err(UnreadableBody {
                status: StatusCode::REQUEST_TIMEOUT,
                cause: format!("the body did not arrive within {time:?} (see --timeout_content)"),
            }),
        }
    }
}
