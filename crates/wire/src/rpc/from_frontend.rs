//! From the frontend to the model server.

use super::{from_container::none, *};
use crate::{
    DecodeError, Frame,
    codec::{Header, Numbers, micros, text_frame, u32_frame},
};

impl<'a, F: Frame> FromFrontend<'a, F> {
    /// Reads a message of the frontend, the empty delimiter included.
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
            (CONTENT, Version::V3) => decode_v3(rest).map(FromFrontend::Request),
            (CONTENT, Version::V4) => decode_v4(rest).map(FromFrontend::Request),
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

    /// Appends the frames of the message, as `version` writes it.
    ///
    /// Version 3 has no registration reply, refusal or goodbye: for it, these append nothing.
    pub fn encode(&self, version: Version, out: &mut Vec<F>) {
        match (self, version) {
            (FromFrontend::Request(request), _) => {
                request.head.encode(version, request.inputs.iter(), out);
            }
            (FromFrontend::KeepAlive, _) => encode_heartbeat(0, version, out),
            (FromFrontend::MetadataWanted, _) => encode_heartbeat(1, version, out),
            (_, Version::V3) => {}
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
    /// Appends the frames of a request with these inputs, which are cloned, that is, counted and not copied.
    pub fn encode<'a, F: Frame + 'a>(
        &self,
        version: Version,
        inputs: impl ExactSizeIterator<Item = &'a F> + Clone,
        out: &mut Vec<F>,
    ) {
        let mut header = Vec::with_capacity(8 * (inputs.len() + 2));
        header.extend(u64::from(self.input_type.code()).to_le_bytes());
        header.extend((inputs.len() as u64).to_le_bytes());
        for input in inputs.clone() {
            header.extend((input.as_ref().len() as u64).to_le_bytes());
        }
        open(out, version, CONTENT);
        match version {
            Version::V3 => {
                out.push(F::copied(&self.message_id.to_le_bytes()));
                out.push(F::copied(&PREDICT.to_le_bytes()));
                out.push(F::copied(&(header.len() as u64).to_le_bytes()));
            }
            Version::V4 => out.push(
                Header::new()
                    .u64(self.session.unwrap_or_default())
                    .u32(self.message_id)
                    .u32(PREDICT)
                    .u64(self.time_left.map_or(NO_DEADLINE, micros))
                    .frame(),
            ),
        }
        out.push(F::owned(header));
        out.extend(inputs.cloned());
    }
}

fn encode_heartbeat<F: Frame>(kind: u32, version: Version, out: &mut Vec<F>) {
    open(out, version, HEARTBEAT);
    out.push(F::copied(&kind.to_le_bytes()));
}

fn decode_heartbeat<'a, F: Frame>(frames: &[F]) -> Result<FromFrontend<'a, F>, DecodeError> {
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

fn decode_v3<F: Frame>(frames: &[F]) -> Result<Request<'_, F>, DecodeError> {
    let [message_id, request_type, _size, header, inputs @ ..] = frames else {
        return Err(DecodeError::FrameCount {
            what: "request of version 3",
            got: frames.len() + 3,
        });
    };
    predict_only(u32_frame(request_type.as_ref(), "request type")?)?;
    let head = RequestHead {
        session: None,
        message_id: u32_frame(message_id.as_ref(), "message id")?,
        time_left: None,
        input_type: check_inputs(header.as_ref(), inputs)?,
    };
    Ok(Request { head, inputs })
}

fn decode_v4<F: Frame>(frames: &[F]) -> Result<Request<'_, F>, DecodeError> {
    let [head, header, inputs @ ..] = frames else {
        return Err(DecodeError::FrameCount {
            what: "request of version 4",
            got: frames.len() + 3,
        });
    };
    let mut numbers = Numbers::of(head.as_ref(), 24, "header of a request")?;
    let session = Some(numbers.u64());
    let message_id = numbers.u32();
    predict_only(numbers.u32())?;
    let left = numbers.u64();
    let head = RequestHead {
        session,
        message_id,
        time_left: (left != NO_DEADLINE).then(|| Duration::from_micros(left)),
        input_type: check_inputs(header.as_ref(), inputs)?,
    };
    Ok(Request { head, inputs })
}

/// Compares the inputs with the header that states their type, number and sizes; answers their type.
fn check_inputs<F: Frame>(header: &[u8], inputs: &[F]) -> Result<DataType, DecodeError> {
    let mut numbers = Numbers::of(header, 8 * (inputs.len() + 2), "input header of a request")?;
    let code = numbers.u64();
    let mut right = numbers.u64() == inputs.len() as u64;
    for input in inputs {
        right &= numbers.u64() == input.as_ref().len() as u64;
    }
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

fn predict_only(request_type: u32) -> Result<(), DecodeError> {
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
    out.push(F::copied(&version.number().to_le_bytes()));
    out.push(F::copied(&kind.to_le_bytes()));
}
