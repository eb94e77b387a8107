//! The classifiers' artifacts: an svm and an lgbm that tell photographs apart by the networks' features of their parts.
//!
//! Photographs and textures that scikit-image ships are cut into tiles, of which every fourth is held out; the label
//! of a tile is the name of its picture. The networks have random weights, so the accuracy says that the classifiers
//! have learnt, and no more. The features of the held-out tiles are kept as inputs to measure with: `svm.npy`, `lgbm.npy`.

use std::{
    fs::{self, File},
    io::{BufWriter, Cursor},
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use image::{ImageFormat, RgbImage, imageops};
use indicatif::{ProgressBar, ProgressStyle};
use model::{Artifact, Batch, DataType, Model, Output};
use ndarray::ArrayView2;
use npyz::WriterBuilder;
use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What there is to tell apart.
const PICTURES: [&str; 12] = [
    "astronaut.png",
    "brick.png",
    "camera.png",
    "coffee.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
];
/// Width and height of a tile, in pixels.
const TILE: u32 = 64;
/// Tiles per picture; each picture has at least that many.
const TILES: usize = 40;
/// One in so many tiles is held out.
const HELD_OUT: usize = 4;
/// Tiles per call of a network.
const BATCH: usize = 16;

/// Makes the artifacts that are missing in `dir`, or all of them; the networks must be there.
pub(crate) fn make(dir: &Path, force: bool) -> anyhow::Result<()> {
    for (file, inputs, make) in [
        (
            "svm.safetensors",
            "svm.npy",
            make_svm as fn(&Path, &Path) -> _,
        ),
        ("lgbm.txt", "lgbm.npy", make_lgbm),
    ] {
        let (path, inputs) = (dir.join(file), dir.join(inputs));
        let metadata = dir.join(format!("{file}.json"));
        if path.exists() && inputs.exists() && metadata.exists() && !force {
            println!("{}: present", path.display());
            continue;
        }
        let start = Instant::now();
        let unfinished = dir.join(format!("{file}.unfinished"));
        let made: Made = make(dir, &unfinished)?;
        let artifact = Artifact {
            file: file.to_owned(),
            provenance: made.provenance,
            trained: true,
        };
        made.held_out
            .save(&inputs)
            .with_context(|| format!("cannot write {}", inputs.display()))?;
        fs::rename(&unfinished, &path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        fs::write(&metadata, serde_json::to_vec_pretty(&artifact)?)
            .with_context(|| format!("cannot write {}", metadata.display()))?;
        println!(
            "{}: made in {:.1?}; {} held-out tiles, {:.1} % right",
            path.display(),
            start.elapsed(),
            made.held_out.labels.len(),
            100.0 * made.accuracy
        );
    }
    Ok(())
}

/// What is known of a new artifact.
struct Made {
    provenance: String,
    held_out: Examples,
    accuracy: f64,
}

fn make_svm(dir: &Path, path: &Path) -> anyhow::Result<Made> {
    let network = vgg::load(&dir.join("vgg.onnx"), settings())?;
    let (train, held_out) = examples("svm: vgg features", network)?;
    let training = svm::Training::default();
    let width = train.features.len() / train.labels.len();
    let features = ArrayView2::from_shape((train.labels.len(), width), &train.features)?;
    svm::train(features, &train.labels, &names(), &training)?.save(path)?;
    let model = svm::Svm::load(path, svm::Settings::default())?;
    Ok(Made {
        provenance: format!(
            "kernel PCA ({} components) + SVM on {}",
            training.components,
            train.provenance("VGG")
        ),
        accuracy: held_out.accuracy(model, |output| match output {
            Output::Text(label) => names().iter().position(|name| name == label),
            _ => None,
        })?,
        held_out,
    })
}

fn make_lgbm(dir: &Path, path: &Path) -> anyhow::Result<Made> {
    let network = inception::load(&dir.join("inception.onnx"), settings())?;
    let (train, held_out) = examples("lgbm: inception features", network)?;
    lgbm::train(&train.features, &train.labels, PICTURES.len(), path)?;
    let model = lgbm::Lgbm::load(path, lgbm::Settings::default())?;
    Ok(Made {
        provenance: format!("LightGBM on {}", train.provenance("Inception")),
        accuracy: held_out.accuracy(model, |output| match output {
            Output::Floats(scores) => {
                let scores = scores.iter().enumerate();
                scores.max_by(|a, b| a.1.total_cmp(b.1)).map(|best| best.0)
            }
            _ => None,
        })?,
        held_out,
    })
}

fn settings() -> featurizer::Settings {
    featurizer::Settings {
        data_type: DataType::Strings,
        threads: thread::available_parallelism().map_or(1, usize::from),
        ..featurizer::Settings::default()
    }
}

/// The pictures' names without their endings: the labels.
fn names() -> Vec<String> {
    let stem = |file: &str| file.split('.').next().unwrap_or(file).to_owned();
    PICTURES.map(stem).into()
}

/// Features, one tile after the other, and the picture of each tile.
#[derive(Default)]
struct Examples {
    features: Vec<f32>,
    labels: Vec<usize>,
}

impl Examples {
    fn provenance(&self, network: &str) -> String {
        format!(
            "{network} features (seeded random weights) of {} tiles of {} photographs of scikit-image",
            self.labels.len(),
            PICTURES.len()
        )
    }

    /// Writes the features as an array of float32 `[tiles, features]`.
    fn save(&self, path: &Path) -> anyhow::Result<()> {
        let shape = [self.labels.len(), self.features.len() / self.labels.len()];
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape.map(|size| size as u64))
            .writer(BufWriter::new(File::create(path)?))
            .begin_nd()?;
        writer.extend(&self.features)?;
        Ok(writer.finish()?)
    }

    /// The share of tiles whose picture the model names; `picture` reads its output.
    fn accuracy(
        &self,
        mut model: impl Model,
        picture: impl Fn(&Output) -> Option<usize>,
    ) -> anyhow::Result<f64> {
        let width = self.features.len() / self.labels.len();
        let bytes = |row: &[f32]| row.iter().flat_map(|value| value.to_le_bytes()).collect();
        let inputs: Vec<Vec<u8>> = self.features.chunks_exact(width).map(bytes).collect();
        let outputs = predict(&mut model, DataType::Floats, &inputs)?;
        let answers = outputs.iter().zip(&self.labels);
        let right = answers.filter(|(output, label)| picture(output) == Some(**label));
        Ok(right.count() as f64 / self.labels.len() as f64)
    }
}

/// Examples to learn from and examples held out, by a network; a bar with `title` shows how far it is.
fn examples(title: &str, mut network: impl Model) -> anyhow::Result<(Examples, Examples)> {
    let style = "{prefix} {wide_bar} {pos}/{len} tiles, {eta} left";
    let bar = ProgressBar::new((PICTURES.len() * TILES) as u64)
        .with_prefix(title.to_owned())
        .with_style(ProgressStyle::with_template(style)?);
    let (mut train, mut held_out) = (Examples::default(), Examples::default());
    for (label, file) in PICTURES.iter().enumerate() {
        let tiles = tiles(file, label as u64)?;
        for (batch, inputs) in tiles.chunks(BATCH).enumerate() {
            let outputs = predict(&mut network, DataType::Strings, inputs)?;
            for (index, output) in outputs.iter().enumerate() {
                let Output::Floats(features) = output else {
                    bail!("{title}: a network must answer floats");
                };
                let is_held_out = (batch * BATCH + index).is_multiple_of(HELD_OUT);
                let examples = if is_held_out {
                    &mut held_out
                } else {
                    &mut train
                };
                examples.features.extend(features);
                examples.labels.push(label);
            }
            bar.inc(inputs.len() as u64);
        }
    }
    bar.finish_and_clear();
    Ok((train, held_out))
}

/// Tiles of a picture that do not overlap, drawn at random, as base64 of PNG files.
fn tiles(file: &str, seed: u64) -> anyhow::Result<Vec<Vec<u8>>> {
    let path = photographs().join(file);
    let picture = image::open(&path)
        .with_context(|| {
            format!(
                "no photograph at {}: `make setup` fetches it",
                path.display()
            )
        })?
        .to_rgb8();
    let (columns, rows) = (picture.width() / TILE, picture.height() / TILE);
    let mut places: Vec<_> = (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (column * TILE, row * TILE)))
        .collect();
    ensure!(places.len() >= TILES, "{} is too small", path.display());
    places.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    places.truncate(TILES);
    let cut = |(x, y)| base64_png(&imageops::crop_imm(&picture, x, y, TILE, TILE).to_image());
    places.into_iter().map(cut).collect()
}

fn photographs() -> PathBuf {
    crate::workspace().join(".deps/python/skimage/data")
}

fn base64_png(picture: &RgbImage) -> anyhow::Result<Vec<u8>> {
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png)?;
    Ok(BASE64_STANDARD.encode(png.into_inner()).into_bytes())
}

fn predict(
    model: &mut impl Model,
    data_type: DataType,
    inputs: &[Vec<u8>],
) -> anyhow::Result<Vec<Output>> {
    let batch = Batch {
        data_type,
        inputs: inputs.iter().map(Vec::as_slice).collect(),
    };
    let answers = model.predict(&batch)?;
    Ok(answers.into_iter().collect::<Result<_, _>>()?)
}
