//! Reading a request's body: not more than the limit, not longer than allowed.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, header},
};

/// What a request's body may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// In bytes.
    pub(super) size: usize,
    /// Until all of it has come.
    pub(super) time: Duration,
}

/// A body that could not be read: what the client is told.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) status: StatusCode,
    pub(super) cause: String,
}

impl Limits {
    pub(super) async fn read(self, headers: &HeaderMap, body: Body) -> Result<Bytes, Unreadable> {
        let Limits { size, time } = self;
        let too_large = || Unreadable {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            cause: format!("the body is larger than {size} bytes (see --max_body_mib)"),
        };
        if headers.contains_key(header::CONTENT_ENCODING) {
            return Err(Unreadable {
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                cause: "compressed bodies are not read here".into(),
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
            // Nobody hears this: the connection broke.
            Ok(Err(_)) => Err(Unreadable {
                status: StatusCode::BAD_REQUEST,
                cause: "the body ended early".into(),
            }),
            Err(_) => Err(Unreadable {
                status: StatusCode::REQUEST_TIMEOUT,
                cause: format!("the body did not come within {time:?} (see --timeout_content)"),
            }),
        }
    }
}
