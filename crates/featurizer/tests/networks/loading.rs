//! What does not load, and what is said then.

use std::{fs, path::Path};

use featurizer::{Architecture, Channels, EngineKind, Featurizer, Scaling, Settings};
use model::{DataType, Device};

const TINY: Architecture = Architecture {
    name: "tiny",
    side: 2,
    resize: 2,
    scaling: Scaling {
        mean: Channels::all(0.0),
        std: Channels::all(1.0),
    },
};

fn failure(path: &Path, settings: Settings) -> String {
    let loaded = Featurizer::load(&TINY, path, settings);
    loaded.err().expect("this does not load").to_string()
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    file
}

#[test]
fn a_file_that_is_no_onnx_model_is_refused() {
    for engine in EngineKind::in_this_build() {
        let mut settings = Settings::default();
        settings.flags.engine = engine;
        let error = failure(file("not a model").path(), settings);
        assert!(error.contains("is not an ONNX model"), "{error}");
    }
}

#[test]
fn a_gpu_that_is_not_there_is_refused_rather_than_replaced_by_the_cpu() {
    for engine in EngineKind::in_this_build() {
        let mut settings = Settings {
            device: Device::Cuda(97),
            ..Settings::default()
        };
        settings.flags.engine = engine;
        let error = failure(file("").path(), settings);
        assert!(error.contains("cannot compute on GPU 97: "), "{error}");
        let reasons = [
            "no NVIDIA driver",
            "GPUs, numbered from 0",
            "names no such GPU",
        ];
        assert!(reasons.iter().any(|why| error.contains(why)), "{error}");
    }
}

#[test]
fn an_engine_that_is_not_in_the_build_is_named_with_what_installs_it() {
    if cfg!(feature = "tch") {
        assert_eq!(EngineKind::in_this_build().len(), 2);
        return;
    }
    let mut settings = Settings::default();
    settings.flags.engine = EngineKind::Tch;
    let error = failure(file("").path(), settings);
    assert!(error.contains("make tch"), "{error}");
}

#[test]
fn a_missing_artifact_is_named_with_the_command_that_makes_it() {
    let error = failure(Path::new("no/tiny.onnx"), Settings::default());
    assert!(error.contains("no/tiny.onnx is missing"), "{error}");
    assert!(error.contains("xtask -- artifacts"), "{error}");
    assert!(error.contains("CLIPPER_MODEL_PATH"), "{error}");
}

#[test]
fn an_input_type_that_holds_no_picture_is_refused() {
    let settings = Settings {
        data_type: DataType::Ints,
        ..Settings::default()
    };
    let error = failure(Path::new("x"), settings);
    assert!(error.contains("floats or strings, not integers"), "{error}");
}
