//! Both engines on small networks with every supported operation. They agree with each other and
//! with values computed by hand, for every layout and number of pictures per call.

use crate::file::File;
use featurizer::{Architecture, Channels, EngineKind, Featurizer, Scaling, Settings};
use model::{Batch, DataType, Model, Output};

/// Architecture of 6x6 pictures whose values are not scaled.
pub(crate) const TINY: Architecture = Architecture {
    name: "tiny",
    side: 6,
    resize: 6,
    scaling: Scaling {
        mean: Channels::all(0.0),
        std: Channels::all(1.0 / 255.0),
    },
};

pub(crate) fn load(
    file: &tempfile::NamedTempFile,
    engine: EngineKind,
) -> Result<Featurizer, String> {
    let mut settings = Settings::default();
    settings.flags.engine = engine;
    Featurizer::load(&TINY, file.path(), settings).map_err(|error| error.to_string())
}

/// Returns `count` pictures with different values.
pub(crate) fn pictures(count: usize) -> Vec<Vec<u8>> {
    let value = |picture: usize, i: usize| ((picture * 31 + i * 13) % 101) as f32 / 50.0 - 1.0;
    let picture = |p| {
        (0..108)
            .flat_map(move |i| value(p, i).to_le_bytes())
            .collect()
    };
    (0..count).map(picture).collect()
}

pub(crate) fn features(model: &mut Featurizer, inputs: &[Vec<u8>]) -> Vec<Vec<f32>> {
    let batch = Batch {
        data_type: DataType::Floats,
        inputs: inputs.iter().map(Vec::as_slice).collect(),
    };
    let outputs = model.predict(&batch).unwrap();
    let floats = outputs.into_iter().map(|output| match output {
        Ok(Output::Floats(values)) => values,
        other => panic!("{other:?} is not floats"),
    });
    floats.collect()
}

#[track_caller]
pub(crate) fn assert_close(one: &[Vec<f32>], other: &[Vec<f32>]) {
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one.len(), other.len());
        for (a, b) in one.iter().zip(other) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}

/// Builds a network with every operation that both engines support, and ReLUs in place and not.
pub(crate) fn everything(batch: i64) -> tempfile::NamedTempFile {
    File::new([batch, 3, 6, 6])
        .weight("w1", &[6, 1, 3, 3])
        .weight("b1", &[6])
        .weight("w2", &[4, 6, 1, 3])
        .weight("w3", &[5, 20])
        .weight("b3", &[5])
        .weight("w4", &[5, 3])
        .node(
            "Conv",
            "images w1 b1",
            "c1",
            &[
                ("pads", &[1, 1, 1, 1]),
                ("group", &[3]),
                ("strides", &[1, 1]),
            ],
        )
        .node("Relu", "c1", "r1", &[])
        .node(
            "MaxPool",
            "r1",
            "p1",
            &[
                ("kernel_shape", &[3, 2]),
                ("strides", &[2, 2]),
                ("pads", &[1, 0, 1, 0]),
            ],
        )
        .node(
            "AveragePool",
            "c1",
            "p2",
            &[
                ("kernel_shape", &[3, 2]),
                ("strides", &[2, 2]),
                ("pads", &[1, 0, 1, 0]),
                ("count_include_pad", &[1]),
            ],
        )
        .node("Add", "p1 p2", "a1", &[])
        .node("Conv", "a1 w2", "c2", &[("pads", &[0, 1, 0, 1])])
        .node("Relu", "c2", "r2", &[])
        .node("Concat", "a1 r2 c2", "j1", &[("axis", &[1])])
        .node("GlobalAveragePool", "j1", "g1", &[])
        .node("Dropout", "g1", "d1", &[])
        .node("Flatten", "d1", "f0", &[("axis", &[1])])
        .node("Flatten", "r2", "f1", &[])
        .node("GlobalAveragePool", "r2", "g2", &[])
        .node("Flatten", "g2", "f2", &[])
        .node("Add", "f2 f2", "f3", &[])
        .node("Concat", "f0 f3 f2", "f4", &[("axis", &[-1])])
        .weight("w5", &[20, 22])
        .node("Gemm", "f4 w5", "e1", &[("transB", &[1])])
        .node("Relu", "e1", "e2", &[])
        .node("Gemm", "e2 w3 b3", "e3", &[("transB", &[1])])
        .node("Gemm", "e3 w4", "e4", &[])
        .node("Identity", "e4", "features", &[])
        .save("features", &[batch, 3])
}

#[test]
fn engines_agree_on_every_operation() {
    let file = everything(0);
    let inputs = pictures(5);
    let expected = features(&mut load(&file, EngineKind::Ort).unwrap(), &inputs);
    assert!(expected[0] != expected[1] && expected[0].len() == 3);
    for engine in EngineKind::in_this_build() {
        let mut model = load(&file, engine).unwrap();
        assert_close(&features(&mut model, &inputs), &expected);
        assert_close(&features(&mut model, &inputs[2..3]), &expected[2..3]);
    }
}

#[test]
fn a_fixed_batch_of_two_serves_any_number_of_pictures() {
    let (any, two) = (everything(0), everything(2));
    let inputs = pictures(5);
    for engine in EngineKind::in_this_build() {
        let expected = features(&mut load(&any, engine).unwrap(), &inputs);
        let mut model = load(&two, engine).unwrap();
        for count in [1, 2, 4, 5, 3] {
            assert_close(&features(&mut model, &inputs[..count]), &expected[..count]);
        }
        assert!(features(&mut model, &[]).is_empty());
    }
}

#[test]
fn channels_last_networks_get_the_same_pictures() {
    let first = File::new([0, 3, 6, 6])
        .node("Flatten", "images", "features", &[])
        .save("features", &[0, 108]);
    let last = File::new([0, 6, 6, 3])
        .node("Transpose", "images", "first", &[("perm", &[0, 3, 1, 2])])
        .node("Flatten", "first", "features", &[])
        .save("features", &[0, 108]);
    let inputs = pictures(2);
    for engine in EngineKind::in_this_build() {
        let planes = features(&mut load(&first, engine).unwrap(), &inputs);
        let pixels = features(&mut load(&last, engine).unwrap(), &inputs);
        assert_close(&planes, &pixels);
        // The sent value 7 is at x = 2, channel 1 of line 0; planes have it at channel * 36 + x.
        let sent = f32::from_le_bytes(inputs[0][4 * 7..][..4].try_into().unwrap());
        assert!((planes[0][36 + 2] - sent).abs() < 1e-6);
    }
}

#[test]
fn errors_name_unsupported_operations() {
    let strange = File::new([0, 3, 6, 6])
        .node("Frobnicate", "images", "features", &[])
        .save("features", &[0, 3]);
    let attribute = File::new([0, 3, 6, 6])
        .node("Flatten", "images", "features", &[("frob", &[1])])
        .save("features", &[0, 108]);
    let dilated = File::new([0, 3, 6, 6])
        .node(
            "AveragePool",
            "images",
            "features",
            &[("kernel_shape", &[2, 2]), ("dilations", &[2, 2])],
        )
        .save("features", &[0, 3, 4, 4]);
    let missing = File::new([0, 3, 6, 6])
        .node("Relu", "nothing", "features", &[])
        .save("features", &[0, 108]);
    for engine in EngineKind::in_this_build() {
        for (file, named) in [
            (&strange, "Frobnicate"),
            (&attribute, "frob"),
            (&dilated, "dilations"),
            (&missing, "nothing"),
        ] {
            let error = load(file, engine).err().unwrap();
            assert!(error.contains(named), "{engine:?}: {error}");
        }
    }
}
