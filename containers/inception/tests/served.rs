//! Features served through frontend and RPC equal those of the same batch in process, bit for bit.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{io::Write, os::unix::net::UnixStream, path::PathBuf, thread, time::Duration};

use container::{ServerSettings, Stop, serve};
use featurizer::{Featurizer, Settings};
use frontend::Frontend;
use model::{Batch, DataType, Model};
use testkit::{Peer, deploy};
use wire::query::{Answer, AnswerStatus};

const VALUES: usize = 299 * 299 * 3;
const BATCH: usize = 4;

fn load() -> Featurizer {
    let settings = Settings {
        data_type: DataType::Floats,
        threads: 2,
        ..Settings::default()
    };
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    inception::load(&root.join("artifacts/inception.onnx"), settings).expect("run `make artifacts`")
}

/// Returns a smooth picture, different for every seed.
fn picture(seed: u32) -> Vec<f32> {
    let value = |index: usize| {
        let wave = (index as f32 * 0.0007 * (seed + 1) as f32).sin();
        (127.0 + 120.0 * wave).round()
    };
    (0..VALUES).map(value).collect()
}

/// Returns the outputs of one call of the model, in wire format.
fn in_process(model: &mut Featurizer, pictures: &[Vec<f32>]) -> Vec<Vec<u8>> {
    let bytes = |picture: &Vec<f32>| -> Vec<u8> {
        let values = picture.iter();
        values.flat_map(|value| value.to_le_bytes()).collect()
    };
    let inputs: Vec<Vec<u8>> = pictures.iter().map(bytes).collect();
    let batch = Batch {
        data_type: DataType::Floats,
        inputs: inputs.iter().map(Vec::as_slice).collect(),
    };
    let predictions = model.predict(&batch).unwrap().into_iter();
    predictions
        .map(|prediction| {
            let mut bytes = Vec::new();
            prediction.unwrap().write_to(&mut bytes);
            bytes
        })
        .collect()
}

/// Serves the model as `m` on another thread, until the stream is written to.
fn start_serving(port: u16) -> (UnixStream, thread::JoinHandle<()>) {
    let server = ServerSettings {
        name: "m",
        version: "1",
        about: "a test",
        input_type: DataType::Floats,
        artifact: None,
    };
    let arguments = ["m".to_owned(), format!("--port={port}")];
    let (settings, ()) = container::Settings::from_args(&server, arguments).unwrap();
    let (stop, stopped) = UnixStream::pair().unwrap();
    let serving =
        thread::spawn(move || serve(load(), &settings, Stop::on_stream(stopped)).unwrap());
    (stop, serving)
}

#[test]
fn served_features_equal_those_computed_in_process() {
    let frontend = Frontend::start(&testkit::settings()).unwrap();
    deploy(&frontend, BATCH as i32, Duration::from_secs(600));
    let mut answers = Peer::connect(frontend.ports().send_port);
    let mut requests = Peer::connect(frontend.ports().recv_port);
    let connected = answers.connect_native();
    let (mut stop, serving) = start_serving(frontend.ports().rpc_service_port);

    let pictures: Vec<_> = (0..=BATCH as u32).map(picture).collect();
    // Wait for the replica.
    loop {
        requests.send_query(connected, 0, &pictures[0]);
        if Answer::decode(&answers.recv()).unwrap().status == AnswerStatus::Ok {
            break;
        }
    }
    for (id, picture) in (0..).zip(&pictures) {
        requests.send_query(connected, id, picture);
    }
    let messages: Vec<_> = pictures.iter().map(|_| answers.recv()).collect();
    let served: Vec<_> = messages
        .iter()
        .map(|f| Answer::decode(f).unwrap())
        .collect();
    let ids: Vec<_> = served.iter().map(|answer| answer.request_id).collect();
    assert_eq!(ids, (0..=BATCH as u32).collect::<Vec<_>>());

    // Batch sizes depend on timing; each answer states its batch's size.
    let mut model = load();
    let mut sizes = Vec::new();
    let mut rest = (&served[..], &pictures[..]);
    while let Some(first) = rest.0.first() {
        let size = first.timing.batch_size as usize;
        let (batch, others) = rest.0.split_at(size);
        let (inputs, other_pictures) = rest.1.split_at(size);
        for (answer, expected) in batch.iter().zip(in_process(&mut model, inputs)) {
            assert_eq!(answer.timing.batch_size as usize, size);
            assert!(
                answer.output == expected,
                "picture {} has other features",
                answer.request_id
            );
        }
        sizes.push(size);
        rest = (others, other_pictures);
    }
    // Queries that arrive while one is computed form batches.
    assert!(sizes.iter().any(|size| *size > 1), "{sizes:?}");
    stop.write_all(&[0]).unwrap();
    serving.join().unwrap();
}
