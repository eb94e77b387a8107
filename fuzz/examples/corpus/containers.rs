//! Messages of the container RPC, in both directions.

use std::{borrow::Cow, time::Duration};

use fuzz::Frames;
use model::{Accuracy, Artifact, DataType, InputError, ModelInfo, Output};
use wire::rpc::{
    BatchError, BatchRequest, ErrorCode, FromContainer, FromFrontend, Metadata, NewContainer,
    Registered, Reply, RequestHead, Times, Version,
};

use crate::{Seeds, message, whole};

/// Versions in the order of the targets' decoders.
const VERSIONS: [Version; 4] = [Version::V2017, Version::HighPerf, Version::V3, Version::V4];

fn frames(encode: impl FnOnce(&mut Frames)) -> Frames {
    let mut frames = Frames::new();
    encode(&mut frames);
    frames
}

fn registration(version: Version) -> NewContainer {
    let metadata = Metadata {
        server: "lgbm".into(),
        server_version: "0.1.0".into(),
        host: "box".into(),
        pid: 7,
        batches_in_flight: 2,
        model: ModelInfo {
            engine: "lightgbm".into(),
            device: "cpu".into(),
            threads: 1,
            input_shape: vec![2048],
            artifact: Some(Artifact {
                file: "lgbm.txt".into(),
                provenance: "trained".into(),
                trained: true,
                classes: vec!["cat".into(), "dog".into()],
                accuracy: Some(Accuracy { right: 9, of: 10 }),
            }),
            ..ModelInfo::default()
        },
    };
    NewContainer {
        name: "lgbm".into(),
        version: "1".into(),
        input_type: DataType::Floats,
        metadata: (version == Version::V4).then_some(metadata),
    }
}

fn reply(session: Option<u64>, output: Output) -> Reply {
    Reply {
        session,
        message_id: 9,
        output_type: output.data_type(),
        predictions: vec![
            Ok(output.clone()),
            Err(InputError("no picture".into())),
            Ok(output),
        ],
        times: Times {
            received: 1_500_000_000_000_001,
            begun: 1_500_000_000_000_002,
            ended: 1_500_000_000_000_008,
            sent: 1_500_000_000_000_009,
        },
    }
}

fn outputs() -> [Output; 5] {
    [
        Output::Bytes(vec![0, 255]),
        Output::Ints(vec![-1, 7]),
        Output::Floats(vec![1.5, -0.5]),
        Output::Doubles(vec![0.1]),
        Output::Text("r\u{e4}t".into()),
    ]
}

/// Messages from the container.
pub(crate) fn to_frontend() -> Seeds {
    let mut seeds = Seeds::new();
    for (decoder, version) in (0..).zip(VERSIONS) {
        let new = frames(|out| registration(version).encode_as(version, out));
        seeds.extend(message(&format!("{version:?}_new"), decoder, &new));
        let session = (version == Version::V4).then_some(77);
        for output in outputs() {
            let reply = reply(session, output);
            let name = format!("{version:?}_{}", reply.output_type);
            let (decoder, message_frames) = match version {
                Version::V2017 => (decoder, frames(|out| reply.encode_2017(out))),
                Version::HighPerf => (4, frames(|out| reply.encode_high_perf(5, out))),
                Version::V3 | Version::V4 => (decoder, frames(|out| reply.encode(out))),
            };
            seeds.extend(of_type(reply.output_type, &name, decoder, &message_frames));
        }
    }
    let error = BatchError {
        session: 77,
        message_id: 9,
        code: ErrorCode::ModelFailed,
        text: "out of memory",
    };
    seeds.extend(message("V4_error", 3, &frames(|out| error.encode(out))));
    let heartbeat = frames(FromContainer::encode_heartbeat);
    seeds.push(whole("V3_heartbeat", 2, &heartbeat));
    let goodbye = frames(FromContainer::encode_goodbye);
    seeds.push(whole("V4_goodbye", 3, &goodbye));
    seeds
}

/// Messages to the container.
pub(crate) fn to_container() -> Seeds {
    let mut seeds = Seeds::new();
    for (decoder, version) in (0..).zip(VERSIONS) {
        // Versions 3 and 4 have the same decoder.
        let decoder = if decoder == 3 { 2 } else { decoder };
        for output in outputs() {
            let head = RequestHead {
                session: (version == Version::V4).then_some(77),
                message_id: 9,
                time_left: Some(Duration::from_millis(20)),
                input_type: output.data_type(),
            };
            let mut input = Vec::new();
            output.write_to(&mut input);
            let inputs = Cow::Owned(vec![input.clone(), Vec::new(), input]);
            let request = FromFrontend::Request(BatchRequest { head, inputs });
            let name = format!("{version:?}_{}", head.input_type);
            let message_frames = frames(|out| request.encode(version, out));
            seeds.extend(of_type(head.input_type, &name, decoder, &message_frames));
        }
        for (name, message_frames) in [
            ("connection", FromFrontend::Connection(5)),
            ("alive", FromFrontend::KeepAlive),
            ("wanted", FromFrontend::MetadataWanted),
            ("refused", FromFrontend::Refused("another input type")),
            ("goodbye", FromFrontend::Goodbye),
            (
                "registered",
                FromFrontend::Registered(Registered {
                    session: 77,
                    replica_id: 1,
                    heartbeat: Duration::from_secs(1),
                }),
            ),
        ] {
            let message_frames = frames(|out| message_frames.encode(version, out));
            if !message_frames.is_empty() {
                seeds.push(whole(
                    &format!("{version:?}_{name}"),
                    decoder,
                    &message_frames,
                ));
            }
        }
    }
    // Far more strings than the header declares.
    let head = RequestHead {
        session: None,
        message_id: 9,
        time_left: None,
        input_type: DataType::Strings,
    };
    let mut nuls = frames(|out| head.encode(Version::V2017, [b"a".to_vec()].iter(), out));
    let content = vec![0; 1_026];
    nuls[6] = (content.len() as u64).to_le_bytes().to_vec();
    nuls[7] = content;
    seeds.push(whole("V2017_nuls", 0, &nuls));
    seeds
}

/// Returns a message of a type. Only floats and strings have variants, because numeric types differ
/// in size only.
fn of_type(data_type: DataType, name: &str, decoder: u8, frames: &Frames) -> Seeds {
    match data_type {
        DataType::Floats | DataType::Strings => message(name, decoder, frames),
        _ => vec![whole(name, decoder, frames)],
    }
}
