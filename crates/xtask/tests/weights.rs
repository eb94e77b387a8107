//! Errors of `xtask artifacts --weights` for weights that do not fit.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use safetensors::{Dtype, tensor::TensorView};
use tempfile::TempDir;

/// Writes tensors of zeros with these names, types and shapes, and runs `xtask artifacts` on them in a new folder.
fn convert(tensors: &[(&str, Dtype, &[usize])], arguments: &[&str]) -> (TempDir, Output) {
    let folder = tempfile::tempdir().unwrap();
    let zeros = vec![0; 1 << 20];
    let views = tensors.iter().map(|(name, dtype, shape)| {
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let view = TensorView::new(*dtype, shape.to_vec(), &zeros[..bytes]);
        (*name, view.unwrap())
    });
    let file = folder.path().join("own.safetensors");
    safetensors::serialize_to_file(views, None, &file).unwrap();
    let output = xtask(folder.path(), &file, arguments);
    (folder, output)
}

fn xtask(folder: &Path, file: &Path, arguments: &[&str]) -> Output {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let dir = folder.join("artifacts");
    xtask.args(["artifacts", "--dir"]).arg(dir);
    xtask.arg("--weights").arg(file).args(arguments);
    xtask.output().unwrap()
}

/// Asserts that nothing was written and that the exit status is 1; returns standard error.
fn refusal((folder, output): (TempDir, Output)) -> String {
    let written = fs::read_dir(folder.path().join("artifacts")).unwrap();
    assert_eq!(written.count(), 0);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let error = refusal(convert(
        &[
            ("features.0.weight", Dtype::F32, &[64, 3, 7, 7]),
            ("features.0.bias", Dtype::I64, &[64]),
            ("features.1.weight", Dtype::F32, &[64]),
            ("features.2.weight", Dtype::F16, &[64, 64, 3, 3]),
            ("classifier.6.weight", Dtype::F32, &[2, 5]),
        ],
        &[],
    ));
    for part in [
        "own.safetensors does not fit vgg",
        "missing: features.2.bias, features.5.weight, ",
        " and 19 more\n",
        "superfluous: features.1.weight\n",
        "of the wrong shape: features.0.weight ([64, 3, 7, 7] instead of [64, 3, 3, 3])\n",
        "of the wrong type: features.0.bias (I64 instead of F32, F16 or BF16)\n",
    ] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert!(!error.contains("classifier.6"), "{error}");
}

#[test]
fn an_undetermined_network_can_be_named() {
    let tensors: [(&str, Dtype, &[usize]); 1] = [("module.conv", Dtype::F32, &[2])];
    let error = refusal(convert(&tensors, &[]));
    assert!(error.contains("(module.conv, ...)"), "{error}");
    assert!(error.contains("--network"), "{error}");
    let error = refusal(convert(&tensors, &["--network", "inception"]));
    assert!(
        error.contains("missing: Conv2d_1a_3x3.conv.weight, "),
        "{error}"
    );
    assert!(error.contains("superfluous: module.conv"), "{error}");
}

#[test]
fn a_file_that_is_no_state_dict_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("artifacts")).unwrap();
    for name in ["own.pth", "own.safetensors", "missing.pth"] {
        let file = folder.path().join(name);
        if !name.starts_with("missing") {
            fs::write(&file, "not a model").unwrap();
        }
        let output = xtask(folder.path(), &file, &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(name), "{error}");
    }
}
