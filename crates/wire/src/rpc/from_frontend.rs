//! Messages from the frontend to the model server.

use super::{
    parts::{decode_heartbeat, none},
    *,
};
use crate::{
    DecodeError, MessageFrame,
    codec::{Header, Numbers, text_frame, u32_frame},
};

impl<'a, F: MessageFrame> FromFrontend<'a, F> {
    /// Reads a message to a model server that has registered in `version`, the empty delimiter
    /// included.
    ///
    /// # Errors
    /// If the frames are not a valid message.
    pub fn decode_as(
        frames: &'a [F],
        version: Version,
    ) -> Result<FromFrontend<'a, F>, DecodeError> {
        match version {
            Version::V2017 => v2017::decode(frames),
            Version::HighPerf => high_perf::decode(frames),
            Version::V3 | Version::V4 => FromFrontend::decode(frames),
        }
    }

    /// Reads a message of version 3 or 4, which it names itself, the empty delimiter included.
    ///
    /// # Errors
    /// If the frames are not a valid message.
    pub fn decode(frames: &'a [F]) -> Result<FromFrontend<'a, F>, DecodeError> {
        let [delimiter, version, kind, rest @ ..] = frames else {
            return Err(DecodeError::FrameCount {
                what: "frontend message",
                got: frames.len(),
            });
        };
        Numbers::of(delimiter.as_ref(), 0, "delimiter")?;
        let version = Version::from_number(u32_frame(version.as_ref(), "RPC version")?)?;
        match (u32_frame(kind.as_ref(), "message type")?, version) {
            (CONTENT, Version::V3) => v3::decode_request(rest).map(FromFrontend::Request),
            (CONTENT, Version::V4) => v4::decode_request(rest).map(FromFrontend::Request),
            (HEARTBEAT, _) => decode_heartbeat(rest),
            (NEW_CONTAINER, Version::V4) => decode_registered(rest),
            (GOODBYE, Version::V4) => none(rest, "goodbye").map(|()| FromFrontend::Goodbye),
            (REFUSED, Version::V4) => match rest {
                [text] => Ok(FromFrontend::Refused(text_frame(
                    text.as_ref(),
                    "reason of a refusal",
                )?)),
                _ => Err(DecodeError::FrameCount {
                    what: "refusal",
                    got: frames.len(),
                }),
            },
            (code, _) => Err(DecodeError::UnknownCode {
                what: "message type of a frontend",
                code: code.into(),
            }),
        }
    }

    /// Appends the frames of the message in `version`, or nothing if the version has no such
    /// message.
    pub fn encode(&self, version: Version, out: &mut Vec<F>) {
        match (self, version) {
            (FromFrontend::Request(request), _) => {
                request.head.encode(version, request.inputs.iter(), out);
            }
            (FromFrontend::Connection(id), Version::HighPerf) => {
                out.push(F::copied(&[]));
                out.push(F::copied(&id.to_le_bytes()));
            }
            (_, Version::HighPerf) => {}
            (FromFrontend::KeepAlive, _) => encode_heartbeat(0, version, out),
            (FromFrontend::MetadataWanted, _) => encode_heartbeat(1, version, out),
            (FromFrontend::Connection(_), _) | (_, Version::V2017 | Version::V3) => {}
            (FromFrontend::Registered(registered), Version::V4) => {
                open(out, version, NEW_CONTAINER);
                let period = u32::try_from(registered.heartbeat.as_millis()).unwrap_or(u32::MAX);
                out.push(
                    Header::new()
                        .u64(registered.session)
                        .u32(registered.replica_id)
                        .u32(period)
                        .frame(),
                );
            }
            (FromFrontend::Refused(text), Version::V4) => {
                open(out, version, REFUSED);
                out.push(F::copied(text.as_bytes()));
            }
            (FromFrontend::Goodbye, Version::V4) => open(out, version, GOODBYE),
        }
    }
}

impl RequestHead {
    /// Appends the frames of a request with these inputs. Their frames are cloned, so bytes are
    /// shared and not copied; only the dialect of 2017 copies them, into one frame.
    pub fn encode<'a, F: MessageFrame + 'a>(
        &self,
        version: Version,
        inputs: impl ExactSizeIterator<Item = &'a F> + Clone,
        out: &mut Vec<F>,
    ) {
        open(out, version, CONTENT);
        match version {
            Version::V2017 => v2017::encode_request(self, inputs, out),
            Version::HighPerf => high_perf::encode_request(self, inputs, out),
            Version::V3 => v3::encode_request(self, inputs, out),
            Version::V4 => v4::encode_request(self, inputs, out),
        }
    }
}

fn encode_heartbeat<F: MessageFrame>(kind: u32, version: Version, out: &mut Vec<F>) {
    open(out, version, HEARTBEAT);
    out.push(F::copied(&kind.to_le_bytes()));
}

fn decode_registered<'a, F: MessageFrame>(
    frames: &[F],
) -> Result<FromFrontend<'a, F>, DecodeError> {
    let [body] = frames else {
        return Err(DecodeError::FrameCount {
            what: "acknowledgement of a registration",
            got: frames.len() + 3,
        });
    };
    let mut body = Numbers::of(body.as_ref(), 16, "acknowledgement of a registration")?;
    Ok(FromFrontend::Registered(Registered {
        session: body.u64(),
        replica_id: body.u32(),
        heartbeat: Duration::from_millis(body.u32().into()),
    }))
}

/// Appends the first frames of a frontend's message.
fn open<F: MessageFrame>(out: &mut Vec<F>, version: Version, kind: u32) {
    out.push(F::copied(&[]));
    if let Some(number) = version.number() {
        out.push(F::copied(&number.to_le_bytes()));
    }
    out.push(F::copied(&kind.to_le_bytes()));
}
