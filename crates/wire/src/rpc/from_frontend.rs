//! From the frontend to the model server.

use super::{from_container::none, *};
use crate::{
    DecodeError, Frame,
    codec::{Header, Numbers, text_frame, u32_frame},
};

impl<'a, F: Frame> FromFrontend<'a, F> {
    /// Reads a message of the frontend to a model server that has registered in `version`, the empty delimiter included.
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

    /// Reads a message of version 3 or 4, as it says itself, the empty delimiter included.
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

    /// Appends the frames of the message, as `version` writes it; nothing where it has no such message.
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
    /// Appends the frames of a request with these inputs, which are cloned, that is, counted and not copied; but in the
    /// dialect of 2017 they are copied into one frame.
    pub fn encode<'a, F: Frame + 'a>(
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

/// The input header of versions 3 and 4.
pub(super) fn header<'a, F: Frame + 'a>(
    input_type: DataType,
    inputs: impl ExactSizeIterator<Item = &'a F>,
) -> Vec<u8> {
    let mut header = Vec::with_capacity(8 * (inputs.len() + 2));
    header.extend(u64::from(input_type.code()).to_le_bytes());
    header.extend((inputs.len() as u64).to_le_bytes());
    for input in inputs {
        header.extend((input.as_ref().len() as u64).to_le_bytes());
    }
    header
}

fn encode_heartbeat<F: Frame>(kind: u32, version: Version, out: &mut Vec<F>) {
    open(out, version, HEARTBEAT);
    out.push(F::copied(&kind.to_le_bytes()));
}

pub(super) fn decode_heartbeat<'a, F: Frame>(
    frames: &[F],
) -> Result<FromFrontend<'a, F>, DecodeError> {
    let [kind] = frames else {
        return Err(DecodeError::FrameCount {
            what: "heartbeat of a frontend",
            got: frames.len() + 3,
        });
    };
    match u32_frame(kind.as_ref(), "heartbeat type")? {
        0 => Ok(FromFrontend::KeepAlive),
        1 => Ok(FromFrontend::MetadataWanted),
        code => Err(DecodeError::UnknownCode {
            what: "heartbeat type",
            code: code.into(),
        }),
    }
}

fn decode_registered<'a, F: Frame>(frames: &[F]) -> Result<FromFrontend<'a, F>, DecodeError> {
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

/// Compares the inputs with the header, whose numbers have `word` bytes, that states their type, number and sizes; answers
/// their type.
pub(super) fn check_inputs<F: Frame>(
    header: &[u8],
    word: usize,
    inputs: &[F],
) -> Result<DataType, DecodeError> {
    let expected = word * (inputs.len() + 2);
    if header.len() != expected {
        return Err(DecodeError::FrameSize {
            what: "input header of a request",
            expected,
            got: header.len(),
        });
    }
    let mut numbers = header.chunks_exact(word).map(|bytes| {
        let mut number = [0; 8];
        number[..word].copy_from_slice(bytes);
        u64::from_le_bytes(number)
    });
    let code = numbers.next().unwrap_or(u64::MAX);
    let sizes = inputs.iter().map(|input| input.as_ref().len() as u64);
    let right = numbers.eq(std::iter::once(inputs.len() as u64).chain(sizes));
    if !right {
        return Err(DecodeError::Inconsistent {
            what: "a request's inputs are not of the number and sizes that its header states",
        });
    }
    u32::try_from(code)
        .ok()
        .and_then(DataType::from_code)
        .ok_or(DecodeError::UnknownCode {
            what: "data type",
            code,
        })
}

pub(super) fn predict_only(request_type: u32) -> Result<(), DecodeError> {
    if request_type == PREDICT {
        return Ok(());
    }
    Err(DecodeError::UnknownCode {
        what: "request type",
        code: request_type.into(),
    })
}

/// The frames that every message of the frontend opens with.
fn open<F: Frame>(out: &mut Vec<F>, version: Version, kind: u32) {
    out.push(F::copied(&[]));
    if let Some(number) = version.number() {
        out.push(F::copied(&number.to_le_bytes()));
    }
    out.push(F::copied(&kind.to_le_bytes()));
}
