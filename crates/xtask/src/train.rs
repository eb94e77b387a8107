//! Trains classifiers of labelled pictures on the features of a network.
//!
//! A classifier becomes four files ([`Files`]): the artifact, its metadata, and the held-out features and labels, with
//! which a benchmark measures speed and accuracy.

mod classifier;
mod confusion;
mod examples;
mod features;
mod files;
mod pictures;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use container::artifact_beside;
use indicatif::ProgressBar;
use model::Artifact;

pub(crate) use classifier::Classifier;

use confusion::Confusion;
use examples::Examples;
use files::Files;
use pictures::Pictures;

/// Training data and options.
#[derive(clap::Args)]
pub(crate) struct Source {
    /// The labelled pictures: a folder per class, named like the class, with JPEG and PNG files in it
    #[arg(long, value_name = "DIR")]
    pub(crate) pictures: PathBuf,
    /// Share of each class's pictures that is held out for the test
    #[arg(long = "held_out", alias = "held-out", value_name = "SHARE", default_value_t = HELD_OUT)]
    pub(crate) held_out: f64,
    /// Seed of the choice of held-out pictures
    #[arg(long, default_value_t = SEED)]
    pub(crate) seed: u64,
    /// Folder of the networks that compute the features: vgg.onnx for svm, inception.onnx for lgbm
    #[arg(long, value_name = "DIR", default_value_os_t = crate::folders::artifacts())]
    pub(crate) networks: PathBuf,
}

/// Default of `--test_share`.
pub(crate) const HELD_OUT: f64 = 0.25;
/// Default of `--seed`.
pub(crate) const SEED: u64 = 1;

/// Trains the classifiers, tests them on the held-out pictures, and writes their files to `dir`.
pub(crate) fn train(classifiers: &[Classifier], source: &Source, dir: &Path) -> anyhow::Result<()> {
    ensure!(
        source.held_out > 0.0 && source.held_out < 1.0,
        "--held_out {} is no share: give more than 0 and less than 1",
        source.held_out
    );
    let pictures = Pictures::find(&source.pictures)?;
    println!("{pictures}");
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    classifiers
        .iter()
        .try_for_each(|&classifier| train_one(classifier, &pictures, source, dir))
}

fn train_one(
    classifier: Classifier,
    pictures: &Pictures,
    source: &Source,
    dir: &Path,
) -> anyhow::Result<()> {
    let name = classifier.name();
    let network = source.networks.join(classifier.network());
    println!("{name}, on the features of {}:", network.display());
    let all = stage("features", |bar| {
        features::compute(&mut *classifier.load_network(&network)?, pictures, bar)
    })?;
    let left_out = pictures.files.len() - all.labels.len();
    let (train, held_out) = all.split(&pictures.classes, source.held_out, source.seed)?;
    let unfinished = dir.join(format!("{}.unfinished", classifier.file()));
    let method = stage("training", |_| {
        classifier.fit(&train, &pictures.classes, &unfinished)
    })?;
    let confusion = stage("testing", |_| {
        let answers = held_out.predict(&mut *classifier.load(&unfinished)?)?;
        Confusion::count(&pictures.classes, &held_out.labels, &answers)
    })?;
    let artifact = Artifact {
        file: classifier.file().to_owned(),
        provenance: format!(
            "{method} on {} features of {} pictures of {} classes from {} ({} held out with seed {}, {left_out} \
             unreadable); {}",
            classifier.network(),
            train.labels.len(),
            pictures.classes.len(),
            pictures.name,
            held_out.labels.len(),
            source.seed,
            origin(&network)?,
        ),
        trained: true,
        classes: pictures.classes.clone(),
        accuracy: Some(confusion.accuracy()),
    };
    let files = classifier.files(dir);
    save(&artifact, &held_out, &unfinished, &files)?;
    println!("{confusion}  {:10} {}", "written", files.artifact.display());
    Ok(())
}

/// Describes the origin of a network's weights.
fn origin(network: &Path) -> anyhow::Result<String> {
    Ok(match artifact_beside(network)? {
        Some(artifact) => format!("{}: {}", artifact.file, artifact.provenance),
        None => "weights of unknown origin".to_owned(),
    })
}

/// Removes the metadata first and writes it last, so that it never describes files of another training.
fn save(
    artifact: &Artifact,
    held_out: &Examples,
    unfinished: &Path,
    files: &Files,
) -> anyhow::Result<()> {
    let write = || {
        if files.metadata.exists() {
            fs::remove_file(&files.metadata)?;
        }
        held_out.save(&artifact.classes, files)?;
        fs::rename(unfinished, &files.artifact)?;
        fs::write(&files.metadata, serde_json::to_vec_pretty(artifact)?)?;
        anyhow::Ok(())
    };
    write().with_context(|| {
        format!(
            "cannot write {} and what belongs to it",
            files.artifact.display()
        )
    })
}

/// Runs a step with a progress line on a terminal, and prints its duration.
fn stage<T>(name: &str, work: impl FnOnce(&ProgressBar) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let bar = ProgressBar::new_spinner().with_prefix(name.to_owned());
    bar.set_style(indicatif::ProgressStyle::with_template(
        "  {prefix:10} {elapsed}",
    )?);
    bar.enable_steady_tick(Duration::from_millis(200));
    let start = Instant::now();
    let done = work(&bar);
    bar.finish_and_clear();
    let done = done?;
    println!("  {name:10} {:.1?}", start.elapsed());
    Ok(done)
}
