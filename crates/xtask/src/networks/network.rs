//! A network: its architecture, its weights and its artifact files.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context;
use model::Artifact;
use onnx::Message;
use sha2::{Digest, Sha256};

use super::{graph::Graph, layer::Layer, seeded, state_dict::StateDict};

/// A network architecture with its metadata.
pub(crate) struct Network {
    pub(super) name: &'static str,
    /// Its name in torchvision, whose weights fit.
    pub(super) torchvision: &'static str,
    pub(super) graph: fn() -> Graph,
    /// Preprocessing of its input pictures.
    pub(super) architecture: featurizer::Architecture,
    /// Prefixes of state dict names whose layers the graph leaves out.
    pub(super) unused: &'static [&'static str],
    /// The classifier that is trained on this network's features.
    pub(super) classifier: &'static str,
    /// Seed of the random weights.
    pub(super) seed: u64,
}

/// The metadata file: origin of the weights, and preprocessing of the pictures.
#[derive(serde::Serialize)]
struct Metadata<'a> {
    #[serde(flatten)]
    artifact: &'a Artifact,
    network: featurizer::NetworkOptions,
}

impl Network {
    /// Number of parameters, all tensors of the artifact together.
    pub(super) fn parameters(&self) -> usize {
        (self.graph)().layers().iter().map(Layer::parameters).sum()
    }

    pub(super) fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}.onnx", self.name))
    }

    fn metadata(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}.onnx.json", self.name))
    }

    /// Reads the metadata of the present artifact; `None` if either file is missing.
    pub(super) fn found(&self, dir: &Path) -> Option<Artifact> {
        let metadata = fs::read(self.metadata(dir)).ok()?;
        let artifact = serde_json::from_slice(&metadata).ok()?;
        self.path(dir).exists().then_some(artifact)
    }

    /// True if the present artifact can be kept: it has trained weights, or random ones of the present scheme and seed.
    pub(super) fn keeps(&self, found: &Artifact) -> bool {
        found.trained || *found == self.seeded()
    }

    pub(super) fn seeded(&self) -> Artifact {
        Artifact {
            file: format!("{}.onnx", self.name),
            provenance: format!(
                "seeded random weights ({}, seed {}): its output is no answer",
                seeded::SCHEME,
                self.seed
            ),
            trained: false,
            ..Artifact::default()
        }
    }

    pub(super) fn trained(&self, file: &Path) -> anyhow::Result<Artifact> {
        let name = file.file_name().unwrap_or(file.as_os_str());
        Ok(Artifact {
            file: format!("{}.onnx", self.name),
            provenance: format!(
                "the weights of {} (SHA-256 {})",
                name.display(),
                sha256(file).with_context(|| format!("cannot read {}", file.display()))?
            ),
            trained: true,
            ..Artifact::default()
        })
    }

    pub(super) fn draw(&self) -> StateDict {
        println!(
            "{}: drawing {} parameters ...",
            self.name,
            self.parameters()
        );
        seeded::draw((self.graph)().layers(), self.seed)
    }

    pub(super) fn write(
        &self,
        dir: &Path,
        dict: &StateDict,
        artifact: &Artifact,
    ) -> anyhow::Result<()> {
        let start = Instant::now();
        let path = self.path(dir);
        println!("{}: writing ...", path.display());
        let graph = (self.graph)();
        let mut tensors = Vec::new();
        for layer in graph.layers() {
            tensors.extend(layer.fold(dict)?);
        }
        let bytes = graph.model(tensors).encode_to_vec();
        // Metadata of the old weights must never stand beside the new ones.
        let metadata = self.metadata(dir);
        if metadata.exists() {
            fs::remove_file(&metadata)
                .with_context(|| format!("cannot remove {}", metadata.display()))?;
        }
        write(&path, &bytes)?;
        let said = Metadata {
            artifact,
            network: self.architecture.options(),
        };
        write(&metadata, &serde_json::to_vec_pretty(&said)?)?;
        let (size, time) = (bytes.len() / 1_000_000, start.elapsed());
        println!("{}: made, {size} MB in {time:.1?}", path.display());
        Ok(())
    }

    /// Warns that a classifier was trained on features of the network that was replaced.
    pub(super) fn warn_of_classifier(&self, dir: &Path) {
        let classifier = dir.join(self.classifier);
        if classifier.exists() {
            println!(
                "{}: learnt from other features and no longer fits: remove it and run `artifacts`, or `train` one",
                classifier.display()
            );
        }
    }
}

pub(super) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => hasher.update(&buffer[..length]),
        }
    }
    let bytes = hasher.finalize();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a file under a temporary name and renames it, so that an interrupted run leaves no partial artifact.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let unfinished = PathBuf::from(format!("{}.unfinished", path.display()));
    fs::write(&unfinished, bytes)
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_with_its_sha_256() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "abc").unwrap();
        assert_eq!(
            sha256(file.path()).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
