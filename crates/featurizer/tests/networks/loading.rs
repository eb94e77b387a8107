//! Errors of loading a featurizer.

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
    loaded.err().expect("loading fails").to_string()
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    file
}

#[test]
fn files_of_other_formats_are_rejected() {
    for engine in EngineKind::in_this_build() {
        let mut settings = Settings::default();
        settings.flags.engine = engine;
        let error = failure(file("not a model").path(), settings);
        assert!(error.contains("is not an ONNX model"), "{error}");
    }
}

#[test]
fn a_missing_gpu_is_an_error_without_cpu_fallback() {
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
fn a_missing_engine_is_reported_with_its_install_command() {
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
fn a_missing_artifact_is_reported_with_its_make_command() {
    let error = failure(Path::new("no/tiny.onnx"), Settings::default());
    assert!(error.contains("no/tiny.onnx is missing"), "{error}");
    assert!(error.contains("xtask -- artifacts"), "{error}");
    assert!(error.contains("CLIPPER_MODEL_PATH"), "{error}");
}

#[test]
fn input_types_that_hold_no_picture_are_rejected() {
    let settings = Settings {
        data_type: DataType::Ints,
        ..Settings::default()
    };
    let error = failure(Path::new("x"), settings);
    assert!(error.contains("floats or strings, not integers"), "{error}");
}
