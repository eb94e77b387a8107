//! ONNX files, the metadata of an artifact, and the network that both describe.
#![no_main]

use featurizer::{Architecture, Channels, NetworkOptions, NetworkPort, Scaling, fuzzing};
use fuzz::bounded;
use libfuzzer_sys::fuzz_target;
use model::Artifact;
use onnx::{Bytes, Message, ModelProto};

/// An empty tensor has 2 bytes in a file, and 240 in a growing list.
const FACTOR: usize = 512;

const ARCHITECTURE: Architecture = Architecture {
    name: "vgg",
    side: 224,
    resize: 256,
    scaling: Scaling {
        mean: Channels::new(0.485, 0.456, 0.406),
        std: Channels::new(0.229, 0.224, 0.225),
    },
};

fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0, file)) => model(Bytes::copy_from_slice(file)),
        Some((_, file)) => metadata(file),
        None => {}
    }
});

fn model(file: Bytes) {
    let length = file.len();
    let Ok(model) = bounded(FACTOR, length, || ModelProto::decode(file)) else {
        return;
    };
    let written = model.encode_to_vec();
    let again = ModelProto::decode(&written[..]).expect("encoded models can be decoded");
    // Compares bytes, because NaN is not equal to itself.
    assert_eq!(again.encode_to_vec(), written);
    let graph = model.graph.unwrap_or_default();
    let ports = |values: &[onnx::ValueInfoProto]| values.iter().map(port).collect::<Vec<_>>();
    let (inputs, outputs) = (ports(&graph.input), ports(&graph.output));
    network(&NetworkOptions::default(), &inputs, &outputs);
}

/// Returns the port as an engine reports it.
fn port(value: &onnx::ValueInfoProto) -> NetworkPort {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    let size = |dimension: &onnx::DimensionProto| match dimension.value {
        Some(onnx::Dimension::Size(size)) => usize::try_from(size).ok(),
        _ => None,
    };
    NetworkPort {
        name: value.name.clone(),
        element: "float32".into(),
        shape: shape
            .iter()
            .flat_map(|shape| &shape.dim)
            .map(size)
            .collect(),
    }
}

fn metadata(json: &[u8]) {
    let read = || serde_json::from_slice::<Artifact>(json);
    if let Ok(artifact) = bounded(FACTOR, json.len(), read) {
        let written = serde_json::to_vec(&artifact).expect("text and numbers can be encoded");
        assert_eq!(
            serde_json::from_slice::<Artifact>(&written).ok(),
            Some(artifact)
        );
    }
    let Ok(options) = bounded(FACTOR, json.len(), || fuzzing::options(json)) else {
        return;
    };
    let [input, output] = ["images", "features"].map(|name| NetworkPort {
        name: name.into(),
        element: "float32".into(),
        shape: vec![None; 4],
    });
    network(&options, &[input], &[output]);
}

/// Checks that the sizes of an accepted network are within its limits.
fn network(options: &NetworkOptions, inputs: &[NetworkPort], outputs: &[NetworkPort]) {
    if let Ok(network) = fuzzing::resolve(&ARCHITECTURE, options, inputs, outputs) {
        let sizes = [
            Some(network.height),
            Some(network.width),
            network.resize,
            network.batch,
        ];
        assert!(
            sizes
                .into_iter()
                .flatten()
                .all(|size| (1..=16_384).contains(&size))
        );
    }
}
