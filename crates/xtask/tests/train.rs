//! Training from a folder of pictures, with the real program and the real Inception (`make artifacts` makes it).
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use image::{Rgb, RgbImage};
use lgbm::Lgbm;
use model::{Accuracy, Artifact, Batch, DataType, Model};
use npyz::NpyFile;

/// Number of pictures per class: LightGBM needs at least 20 per leaf.
const PICTURES: u32 = 30;

/// Writes pictures of stripes and of plain colours, a file that is not a picture, and a hidden file.
fn pictures(folder: &Path) {
    for class in ["plain", "striped"] {
        fs::create_dir_all(folder.join(class)).unwrap();
        for number in 0..PICTURES {
            let colour = |x: u32| match class == "striped" && x % 8 < 4 {
                true => Rgb([0, 0, 0]),
                false => Rgb([255 - number as u8, 3 * number as u8, 200]),
            };
            let picture = RgbImage::from_fn(32, 32, |x, _| colour(x));
            picture
                .save(folder.join(format!("{class}/{number:02}.png")))
                .unwrap();
        }
    }
    fs::write(folder.join("plain/broken.jpg"), "no picture").unwrap();
    fs::write(folder.join("plain/notes.txt"), "text").unwrap();
}

fn train(pictures: &Path, dir: &Path) -> Output {
    let networks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../artifacts");
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["train", "--model", "lgbm", "--held_out", "0.2"])
        .args([Path::new("--pictures"), pictures])
        .args([Path::new("--networks"), &networks])
        .args([Path::new("--dir"), dir])
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Number of held-out inputs for which the artifact predicts the label.
fn accuracy(dir: &Path, classes: &[String]) -> Accuracy {
    let file = File::open(dir.join("lgbm.npy")).unwrap();
    let array = NpyFile::new(BufReader::new(file)).unwrap();
    let shape = array.shape().to_vec();
    let values: Vec<f32> = array.into_vec().unwrap();
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let batch = Batch {
        data_type: DataType::Floats,
        inputs: bytes.chunks_exact(4 * shape[1] as usize).collect(),
    };
    let mut model = Lgbm::load(&dir.join("lgbm.txt"), lgbm::Settings::default()).unwrap();
    let outputs = model.predict(&batch).unwrap();
    let labels = fs::read_to_string(dir.join("lgbm.labels.txt")).unwrap();
    let labels: Vec<_> = labels.lines().collect();
    assert_eq!(shape, [labels.len() as u64, 2048]);
    let right = outputs.iter().zip(&labels).filter(|(output, label)| {
        let output = output.as_ref().unwrap();
        output.class(classes).unwrap() == **label
    });
    Accuracy {
        right: right.count() as u64,
        of: labels.len() as u64,
    }
}

#[test]
fn training_on_pictures_is_described_and_repeatable() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    pictures(&at("stripes"));
    let [first, second] = ["first", "second"].map(|dir| train(&at("stripes"), &at(dir)));
    let (stdout, stderr) = (text(&first.stdout), text(&first.stderr));
    assert!(
        first.status.success(),
        "{stderr} (missing: run `make artifacts`)"
    );
    assert!(
        stdout.starts_with("stripes: 61 pictures of 2 classes"),
        "{stdout}"
    );
    assert!(
        stderr.contains("plain/broken.jpg: the input is not a JPEG or PNG"),
        "{stderr}"
    );

    let metadata = fs::read(at("first/lgbm.txt.json")).unwrap();
    let artifact: Artifact = serde_json::from_slice(&metadata).unwrap();
    assert_eq!(artifact.classes, ["plain", "striped"]);
    let accuracy = accuracy(&at("first"), &artifact.classes);
    assert_eq!(artifact.accuracy, Some(accuracy));
    assert!(accuracy.of == 12 && accuracy.right > 9, "{accuracy:?}");
    let shown = format!("{} of {} held-out pictures", accuracy.right, accuracy.of);
    assert!(stdout.contains(&shown), "{stdout}");
    for part in [
        "LightGBM on inception.onnx features of 48 pictures of 2 classes from stripes",
        "12 held out with seed 1, 1 unreadable",
        "inception.onnx: ",
    ] {
        assert!(
            artifact.provenance.contains(part),
            "{}",
            artifact.provenance
        );
    }

    assert!(second.status.success());
    for file in ["lgbm.txt", "lgbm.txt.json", "lgbm.npy", "lgbm.labels.txt"] {
        let [first, second] = ["first", "second"].map(|dir| fs::read(at(dir).join(file)).unwrap());
        assert!(
            first == second,
            "{file} differs from one training to the next"
        );
    }
}

#[test]
fn failed_training_is_one_line_without_an_artifact() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("alone")).unwrap();
    let out = folder.path().join("out");
    let ended = train(folder.path(), &out);
    let stderr = text(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("xtask: class alone has too few usable pictures (0)"),
        "{stderr}"
    );
    assert!(!out.exists());
}
