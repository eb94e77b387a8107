//! Bytes of the container RPC in version 3, as Clipper writes them, and round trips of version 4.

use std::{borrow::Cow, time::Duration};

use model::{DataType, InputError, ModelInfo, Output};
use proptest::prelude::*;
use wire::{DecodeError, rpc::*};

type Frames = Vec<Vec<u8>>;

fn u32s(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn u64s(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn head(session: Option<u64>, input_type: DataType) -> RequestHead {
    RequestHead {
        session,
        message_id: 9,
        time_left: session.map(|_| Duration::from_micros(1234)),
        input_type,
    }
}

#[test]
fn version_3_request_has_the_bytes_of_clippers_final_release() {
    let inputs = [u32s(&[1, 2]), u32s(&[3])];
    let mut frames = Frames::new();
    head(None, DataType::Floats).encode(Version::V3, inputs.iter(), &mut frames);
    let expected = [
        vec![],
        u32s(&[3]),
        u32s(&[1]),
        u32s(&[9]),
        u32s(&[0]),
        u64s(&[32]),
        u64s(&[2, 2, 8, 4]),
        inputs[0].clone(),
        inputs[1].clone(),
    ];
    assert_eq!(frames, expected);
}

#[test]
fn heartbeats_have_the_bytes_of_clippers_final_release() {
    for (message, kind) in [
        (FromFrontend::<Vec<u8>>::KeepAlive, 0),
        (FromFrontend::MetadataWanted, 1),
    ] {
        let mut frames = Frames::new();
        message.encode(Version::V3, &mut frames);
        assert_eq!(frames, [vec![], u32s(&[3]), u32s(&[2]), u32s(&[kind])]);
        assert_eq!(FromFrontend::decode(&frames), Ok(message));
    }
    let mut frames = Frames::new();
    FromContainer::encode_heartbeat(&mut frames);
    assert_eq!(frames, [vec![], u32s(&[2])]);
}

#[test]
fn version_3_registration_is_decoded_and_an_older_one_refused() {
    let mut frames = vec![
        vec![],
        u32s(&[0]),
        b"noop".to_vec(),
        b"1".to_vec(),
        b"2".to_vec(),
        u32s(&[3]),
    ];
    let Ok(FromContainer::NewContainer(new)) = FromContainer::decode(&frames, Version::V3) else {
        panic!("expected a registration");
    };
    assert_eq!((new.name.as_str(), new.version.as_str()), ("noop", "1"));
    assert_eq!(new.input_type, DataType::Floats);
    assert_eq!(new.rpc_version(), Version::V3);
    let mut written = Frames::new();
    new.encode(&mut written);
    assert_eq!(written, frames);
    frames.pop();
    let error = FromContainer::decode(&frames, Version::V3).unwrap_err();
    assert!(matches!(error, DecodeError::FrameCount { got: 5, .. }));
}

#[test]
fn version_3_response_is_text_with_u64_sizes() {
    let reply = Reply {
        session: None,
        message_id: 9,
        output_type: DataType::Floats,
        predictions: vec![
            Ok(Output::Floats(vec![1.0, 2.5])),
            Ok(Output::Text("cat".into())),
        ],
        times: Times::default(),
    };
    let mut frames = Frames::new();
    reply.encode(&mut frames);
    let expected = [
        vec![],
        u32s(&[1]),
        u32s(&[9]),
        u64s(&[24]),
        u64s(&[2, 10, 3]),
        b"[1.0, 2.5]".to_vec(),
        b"cat".to_vec(),
    ];
    assert_eq!(frames, expected);
    let Ok(FromContainer::Response(response)) = FromContainer::decode(&frames, Version::V3) else {
        panic!("expected a response");
    };
    assert_eq!(response.outputs, [Ok(&b"[1.0, 2.5]"[..]), Ok(&b"cat"[..])]);
    assert_eq!(response.output_type, DataType::Strings);
}

#[test]
fn version_4_response_has_types_failures_and_times() {
    let times = Times {
        received: 1,
        begun: 2,
        ended: 30,
        sent: 31,
    };
    let reply = Reply {
        session: Some(77),
        message_id: 9,
        output_type: DataType::Ints,
        predictions: vec![
            Ok(Output::Ints(vec![-1])),
            Err(InputError("no picture".into())),
            Ok(Output::Ints(vec![])),
        ],
        times,
    };
    let mut frames = Frames::new();
    reply.encode(&mut frames);
    let Ok(FromContainer::Response(response)) = FromContainer::decode(&frames, Version::V4) else {
        panic!("expected a response");
    };
    assert_eq!(response.session, Some(77));
    assert_eq!(response.message_id, 9);
    assert_eq!(response.output_type, DataType::Ints);
    assert_eq!(
        response.outputs,
        [Ok(&[255; 4][..]), Err("no picture"), Ok(&[][..])]
    );
    assert_eq!(response.times, Some(times));
}

#[test]
fn version_4_messages_survive_a_round_trip() {
    let new = NewContainer {
        name: "vgg".into(),
        version: "1".into(),
        input_type: DataType::Strings,
        metadata: Some(Metadata {
            server: "vgg".into(),
            host: "box".into(),
            batches_in_flight: 2,
            model: ModelInfo {
                engine: "onnxruntime".into(),
                output_type: DataType::Floats,
                ..ModelInfo::default()
            },
            ..Metadata::default()
        }),
    };
    let mut frames = Frames::new();
    new.encode(&mut frames);
    let read = FromContainer::decode(&frames, Version::V4);
    assert_eq!(read, Ok(FromContainer::NewContainer(Box::new(new))));

    let inputs = [b"a".to_vec(), b"".to_vec()];
    let messages = [
        FromFrontend::Registered(Registered {
            session: 5,
            replica_id: 1,
            heartbeat: Duration::from_millis(1000),
        }),
        FromFrontend::Refused("another input type"),
        FromFrontend::Request(BatchRequest {
            head: head(Some(5), DataType::Strings),
            inputs: Cow::Borrowed(&inputs),
        }),
        FromFrontend::Goodbye,
    ];
    for message in messages {
        let mut frames = Frames::new();
        message.encode(Version::V4, &mut frames);
        assert_eq!(FromFrontend::decode(&frames), Ok(message));
    }

    let error = BatchError {
        session: 5,
        message_id: 9,
        code: ErrorCode::ModelFailed,
        text: "out of memory",
    };
    let mut frames = Frames::new();
    error.encode(&mut frames);
    let read = FromContainer::decode(&frames, Version::V4);
    assert_eq!(read, Ok(FromContainer::Error(error)));
}

#[test]
fn an_error_out_of_memory_is_recognised_by_its_text() {
    for (text, expected) in [
        ("CUDA failure 2: out of memory", true),
        ("Out Of Memory", true),
        ("boom", false),
    ] {
        let error = BatchError {
            session: 5,
            message_id: 9,
            code: ErrorCode::ModelFailed,
            text,
        };
        assert_eq!(error.is_out_of_memory(), expected, "{text}");
    }
}

#[test]
fn sizes_that_contradict_the_outputs_are_errors() {
    // The output type is floats, and three bytes are not a whole float.
    let header = |_: ()| [u64s(&[1]), u32s(&[9, 2]), u64s(&[0, 0, 0, 0])].concat();
    for sizes in [
        vec![2, 1, 1],
        vec![1, 3],
        vec![1, 4],
        vec![1, u64::MAX],
        vec![3, 1, 2],
        vec![u64::MAX],
        vec![],
    ] {
        let frames = [vec![], u32s(&[1]), header(()), u64s(&sizes), vec![0; 3]];
        let read = FromContainer::decode(&frames, Version::V4);
        assert!(
            matches!(read, Err(DecodeError::Inconsistent { .. })),
            "{sizes:?}: {read:?}"
        );
    }
}

fn decode_in_all_versions(container: &Frames, frontend: &Frames) {
    for version in [Version::V2017, Version::HighPerf, Version::V3, Version::V4] {
        let _ = FromContainer::decode(container, version);
        let _ = FromFrontend::decode_as(frontend, version);
    }
    let _ = ConnectionResponse::decode(container);
}

proptest! {
    #[test]
    fn no_message_panics(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..56), 0..8)) {
        decode_in_all_versions(&frames, &frames);
    }

    #[test]
    fn no_message_with_a_valid_beginning_panics(
        version in 3_u32..5, kind in 0_u32..6,
        rest in proptest::collection::vec(proptest::collection::vec(0_u8..4, 0..50), 0..6),
    ) {
        let container: Frames = [vec![vec![], u32s(&[kind])], rest.clone()].concat();
        let frontend: Frames = [vec![vec![], u32s(&[version]), u32s(&[kind])], rest].concat();
        decode_in_all_versions(&container, &frontend);
        decode_in_all_versions(&frontend, &container);
    }
}
