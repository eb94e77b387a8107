//! From the model server to the frontend.

use model::{DataType, Predictions};

use super::*;
use crate::{
    DecodeError, Frame,
    codec::{Header, Numbers, counted_u64s, data_type, text_frame, u32_frame},
};

impl<'a> FromContainer<'a> {
    /// Reads a message of a model server that speaks `version`, the empty delimiter included.
    pub fn decode<F: Frame>(
        frames: &'a [F],
        version: Version,
    ) -> Result<FromContainer<'a>, DecodeError> {
        let [delimiter, kind, rest @ ..] = frames else {
            return Err(DecodeError::FrameCount {
                what: "container message",
                got: frames.len(),
            });
        };
        Numbers::of(delimiter.as_ref(), 0, "delimiter")?;
        match u32_frame(kind.as_ref(), "message type")? {
            NEW_CONTAINER => {
                decode_new_container(rest).map(|new| FromContainer::NewContainer(Box::new(new)))
            }
            CONTENT if version == Version::V3 => decode_v3(rest).map(FromContainer::Response),
            CONTENT => decode_v4(rest).map(FromContainer::Response),
            HEARTBEAT => none(rest, "heartbeat").map(|()| FromContainer::Heartbeat),
            ERROR => decode_error(rest).map(FromContainer::Error),
            GOODBYE => none(rest, "goodbye").map(|()| FromContainer::Goodbye),
            code => Err(DecodeError::UnknownCode {
                what: "message type of a container",
                code: code.into(),
            }),
        }
    }
}

impl NewContainer {
    /// Appends the frames of the registration.
    pub fn encode<F: Frame>(&self, out: &mut Vec<F>) {
        open(out, NEW_CONTAINER);
        out.push(F::copied(self.name.as_bytes()));
        out.push(F::copied(self.version.as_bytes()));
        out.push(F::copied(self.input_type.code().to_string().as_bytes()));
        out.push(F::copied(&self.rpc_version().number().to_le_bytes()));
        if let Some(metadata) = &self.metadata {
            let json =
                serde_json::to_vec(metadata).expect("names and numbers can always be written");
            out.push(F::owned(json));
        }
    }
}

impl FromContainer<'_> {
    /// Appends the frames of a heartbeat.
    pub fn encode_heartbeat<F: Frame>(out: &mut Vec<F>) {
        open(out, HEARTBEAT);
    }

    /// Appends the frames of a goodbye (version 4).
    pub fn encode_goodbye<F: Frame>(out: &mut Vec<F>) {
        open(out, GOODBYE);
    }
}

impl BatchError<'_> {
    /// Appends the frames of the error (version 4).
    pub fn encode<F: Frame>(&self, out: &mut Vec<F>) {
        open(out, ERROR);
        out.push(
            Header::new()
                .u64(self.session)
                .u32(self.message_id)
                .u32(self.code as u32)
                .frame(),
        );
        out.push(F::copied(self.text.as_bytes()));
    }
}

/// Predictions on their way to the frontend.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The frontend's session, from the request; `None` in version 3.
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

impl Reply {
    /// Appends the frames of the response: version 4 where there is a session, else version 3, where every output
    /// is text and an input that failed is answered with the reason as text.
    pub fn encode<F: Frame>(&self, out: &mut Vec<F>) {
        open(out, CONTENT);
        match self.session {
            Some(session) => self.encode_v4(session, out),
            None => self.encode_v3(out),
        }
    }

    fn encode_v3<F: Frame>(&self, out: &mut Vec<F>) {
        let outputs: Vec<String> = self
            .predictions
            .iter()
            .map(|prediction| match prediction {
                Ok(output) => output.to_text(),
                Err(error) => error.to_string(),
            })
            .collect();
        let sizes = sizes(outputs.iter().map(|text| text.len() as u64));
        out.push(F::copied(&self.message_id.to_le_bytes()));
        out.push(F::copied(&(sizes.len() as u64).to_le_bytes()));
        out.push(F::owned(sizes));
        out.extend(outputs.into_iter().map(|text| F::owned(text.into_bytes())));
    }

    fn encode_v4<F: Frame>(&self, session: u64, out: &mut Vec<F>) {
        let mut data = Vec::new();
        let mut lengths = Vec::with_capacity(self.predictions.len());
        for prediction in &self.predictions {
            let start = data.len();
            let mark = match prediction {
                Ok(output) => {
                    output.write_to(&mut data);
                    0
                }
                Err(error) => {
                    data.extend_from_slice(error.0.as_bytes());
                    FAILED
                }
            };
            lengths.push((data.len() - start) as u64 | mark);
        }
        out.push(
            Header::new()
                .u64(session)
                .u32(self.message_id)
                .u32(self.output_type.code())
                .u64(self.times.received)
                .u64(self.times.begun)
                .u64(self.times.ended)
                .u64(self.times.sent)
                .frame(),
        );
        out.push(F::owned(sizes(lengths.into_iter())));
        out.push(F::owned(data));
    }
}

fn decode_new_container<F: Frame>(frames: &[F]) -> Result<NewContainer, DecodeError> {
    let (name, version, input_type, rpc_version, metadata) = match frames {
        [name, version, input_type, rpc] => (name, version, input_type, rpc, None),
        [name, version, input_type, rpc, metadata] => {
            (name, version, input_type, rpc, Some(metadata))
        }
        other => {
            return Err(DecodeError::FrameCount {
                what: "registration (without its RPC version it is older than 3)",
                got: other.len() + 2,
            });
        }
    };
    let rpc_version = Version::from_number(u32_frame(rpc_version.as_ref(), "RPC version")?)?;
    let metadata = match (rpc_version, metadata) {
        (Version::V3, None) => None,
        (Version::V4, Some(json)) => {
            let parsed =
                serde_json::from_slice(json.as_ref()).map_err(|_| DecodeError::BadText {
                    what: "JSON metadata of a registration",
                })?;
            Some(parsed)
        }
        _ => {
            return Err(DecodeError::Inconsistent {
                what: "JSON metadata belongs to a registration of version 4, and to no other",
            });
        }
    };
    let code = text_frame(input_type.as_ref(), "input type")?
        .parse()
        .map_err(|_| DecodeError::BadText { what: "input type" })?;
    Ok(NewContainer {
        name: text_frame(name.as_ref(), "model name")?.to_owned(),
        version: text_frame(version.as_ref(), "model version")?.to_owned(),
        input_type: data_type(code)?,
        metadata,
    })
}

fn decode_v3<F: Frame>(frames: &[F]) -> Result<Response<'_>, DecodeError> {
    let [message_id, _size, sizes, outputs @ ..] = frames else {
        return Err(DecodeError::FrameCount {
            what: "response of version 3",
            got: frames.len() + 2,
        });
    };
    let sizes = counted_u64s(sizes.as_ref(), "sizes of a response")?;
    if sizes.len() != outputs.len() {
        return Err(DecodeError::Inconsistent {
            what: "a response of version 3 states another number of outputs than it has",
        });
    }
    let outputs = sizes
        .zip(outputs)
        .map(|(size, output)| {
            let output = output.as_ref();
            if output.len() as u64 == size {
                Ok(Ok(output))
            } else {
                Err(DecodeError::Inconsistent {
                    what: "an output of a version-3 response is not of its stated size",
                })
            }
        })
        .collect::<Result<_, _>>()?;
    Ok(Response {
        session: None,
        message_id: u32_frame(message_id.as_ref(), "message id")?,
        output_type: DataType::Strings,
        outputs,
        times: None,
    })
}

fn decode_v4<F: Frame>(frames: &[F]) -> Result<Response<'_>, DecodeError> {
    let [header, sizes, data] = frames else {
        return Err(DecodeError::FrameCount {
            what: "response of version 4",
            got: frames.len() + 2,
        });
    };
    let mut header = Numbers::of(header.as_ref(), 48, "header of a response")?;
    let session = header.u64();
    let message_id = header.u32();
    let output_type = data_type(header.u32())?;
    let times = Times {
        received: header.u64(),
        begun: header.u64(),
        ended: header.u64(),
        sent: header.u64(),
    };
    Ok(Response {
        session: Some(session),
        message_id,
        output_type,
        outputs: split(data.as_ref(), sizes.as_ref())?,
        times: Some(times),
    })
}

/// Cuts the outputs of a version-4 response out of their one frame.
fn split<'a>(data: &'a [u8], sizes: &[u8]) -> Result<Vec<Result<&'a [u8], &'a str>>, DecodeError> {
    let wrong = DecodeError::Inconsistent {
        what: "the outputs of a response are not as long as its sizes say",
    };
    let mut rest = data;
    let mut outputs = Vec::new();
    for size in counted_u64s(sizes, "sizes of a response")? {
        let length = usize::try_from(size & !FAILED).map_err(|_| wrong.clone())?;
        let (output, after) = rest.split_at_checked(length).ok_or_else(|| wrong.clone())?;
        rest = after;
        outputs.push(if size & FAILED == 0 {
            Ok(output)
        } else {
            Err(text_frame(output, "reason of a failed input")?)
        });
    }
    if rest.is_empty() {
        Ok(outputs)
    } else {
        Err(wrong)
    }
}

fn decode_error<F: Frame>(frames: &[F]) -> Result<BatchError<'_>, DecodeError> {
    let [header, text] = frames else {
        return Err(DecodeError::FrameCount {
            what: "error of a container",
            got: frames.len() + 2,
        });
    };
    let mut header = Numbers::of(header.as_ref(), 16, "header of an error")?;
    let session = header.u64();
    let message_id = header.u32();
    let code = match header.u32() {
        1 => ErrorCode::BadRequest,
        2 => ErrorCode::ModelFailed,
        code => {
            return Err(DecodeError::UnknownCode {
                what: "error code",
                code: code.into(),
            });
        }
    };
    Ok(BatchError {
        session,
        message_id,
        code,
        text: text_frame(text.as_ref(), "text of an error")?,
    })
}

/// The frames that every message of a model server opens with.
fn open<F: Frame>(out: &mut Vec<F>, kind: u32) {
    out.push(F::copied(&[]));
    out.push(F::copied(&kind.to_le_bytes()));
}

fn sizes(lengths: impl ExactSizeIterator<Item = u64>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 * (lengths.len() + 1));
    bytes.extend((lengths.len() as u64).to_le_bytes());
    bytes.extend(lengths.flat_map(u64::to_le_bytes));
    bytes
}

pub(super) fn none<F>(frames: &[F], what: &'static str) -> Result<(), DecodeError> {
    if frames.is_empty() {
        return Ok(());
    }
    Err(DecodeError::FrameCount {
        what,
        got: frames.len() + 2,
    })
}
