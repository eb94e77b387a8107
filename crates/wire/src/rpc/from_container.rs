//! Messages from the model server to the frontend.

use super::{
    parts::{none, open},
    *,
};
use crate::{
    DecodeError, MessageFrame,
    codec::{Numbers, data_type, text_frame, u32_frame},
};

impl<'a> FromContainer<'a> {
    /// Reads a message of a model server with this `version`, the empty delimiter included. In the
    /// high-performance dialect this is a message to the port for requests; [`ConnectionResponse`]
    /// reads those to the other port.
    ///
    /// # Errors
    /// If the frames are not a valid message.
    pub fn decode<F: MessageFrame>(
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
        match (u32_frame(kind.as_ref(), "message type")?, version) {
            (NEW_CONTAINER, Version::V2017 | Version::HighPerf) => {
                decode_unversioned(rest).map(FromContainer::new)
            }
            (NEW_CONTAINER, _) => decode_new_container(rest).map(FromContainer::new),
            (CONTENT, Version::V2017) => v2017::decode_response(rest).map(FromContainer::Response),
            (CONTENT, Version::V3) => v3::decode_response(rest).map(FromContainer::Response),
            (CONTENT, Version::V4) => v4::decode_response(rest).map(FromContainer::Response),
            (HEARTBEAT, Version::V2017 | Version::V3 | Version::V4) => {
                none(rest, "heartbeat").map(|()| FromContainer::Heartbeat)
            }
            (ERROR, Version::V4) => v4::decode_error(rest).map(FromContainer::Error),
            (GOODBYE, Version::V4) => none(rest, "goodbye").map(|()| FromContainer::Goodbye),
            (code, _) => Err(DecodeError::UnknownCode {
                what: "message type of a container",
                code: code.into(),
            }),
        }
    }

    fn new(new: NewContainer) -> FromContainer<'a> {
        FromContainer::NewContainer(Box::new(new))
    }
}

impl NewContainer {
    /// Appends the frames of the registration in version 3 or 4.
    pub fn encode<F: MessageFrame>(&self, out: &mut Vec<F>) {
        self.encode_as(self.rpc_version(), out);
    }

    /// Appends the frames of the registration in `version`.
    pub fn encode_as<F: MessageFrame>(&self, version: Version, out: &mut Vec<F>) {
        open(out, NEW_CONTAINER);
        out.push(F::copied(self.name.as_bytes()));
        out.push(F::copied(self.version.as_bytes()));
        out.push(F::copied(self.input_type.code().to_string().as_bytes()));
        let Some(number) = version.number() else {
            return;
        };
        out.push(F::copied(&number.to_le_bytes()));
        if let Some(metadata) = &self.metadata {
            let json = serde_json::to_vec(metadata).expect("names and numbers are valid JSON");
            out.push(F::owned(json));
        }
    }
}

impl FromContainer<'_> {
    /// Appends the frames of a heartbeat.
    pub fn encode_heartbeat<F: MessageFrame>(out: &mut Vec<F>) {
        open(out, HEARTBEAT);
    }

    /// Appends the frames of a goodbye (version 4).
    pub fn encode_goodbye<F: MessageFrame>(out: &mut Vec<F>) {
        open(out, GOODBYE);
    }
}

/// Reads the registration of an older dialect, which contains no version.
fn decode_unversioned<F: MessageFrame>(frames: &[F]) -> Result<NewContainer, DecodeError> {
    match frames {
        [name, version, input_type] => registration([name, version, input_type], None),
        other => Err(DecodeError::FrameCount {
            what: "registration older than version 3 (one with an RPC version belongs to port 7000)",
            got: other.len() + 2,
        }),
    }
}

fn decode_new_container<F: MessageFrame>(frames: &[F]) -> Result<NewContainer, DecodeError> {
    let (model, rpc_version, metadata) = match frames {
        [name, version, input_type, rpc] => ([name, version, input_type], rpc, None),
        [name, version, input_type, rpc, json] => ([name, version, input_type], rpc, Some(json)),
        other => {
            return Err(DecodeError::FrameCount {
                what: "registration (one without an RPC version is older than version 3)",
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
                what: "a registration of version 4 needs JSON metadata, one of version 3 must not have it",
            });
        }
    };
    registration(model, metadata)
}

/// Reads the three frames that every registration has.
fn registration<F: MessageFrame>(
    [name, version, input_type]: [&F; 3],
    metadata: Option<Metadata>,
) -> Result<NewContainer, DecodeError> {
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
