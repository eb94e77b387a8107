//! The networks' artifacts: ONNX files, from the weights of a state dict.
//!
//! Whether the weights are somebody's own or seeded and random, they go the same way. Beside each artifact lies a small
//! metadata file, which the results of a benchmark repeat: a network with random weights is as fast as a trained one,
//! but its output is no answer.

mod fit;
mod graph;
mod inception;
mod layer;
mod seeded;
mod state_dict;
mod vgg;

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

use graph::Graph;
use layer::Layer;
use state_dict::StateDict;

static NETWORKS: [Network; 2] = [vgg::NETWORK, inception::NETWORK];

/// The names that a network can be chosen by.
pub(crate) const NAMES: [&str; 2] = [vgg::NETWORK.name, inception::NETWORK.name];

/// An architecture, and what else is known of it.
struct Network {
    name: &'static str,
    /// Its name in torchvision, whose weights fit.
    torchvision: &'static str,
    graph: fn() -> Graph,
    /// What its pictures must be like.
    architecture: featurizer::Architecture,
    /// What names in a state dict start with that belong to layers which the graph leaves out.
    unused: &'static [&'static str],
    /// The artifact that learns from this network's features.
    classifier: &'static str,
    /// Of the random weights.
    seed: u64,
}

/// The metadata file: where the weights are from, and what pictures they want.
#[derive(serde::Serialize)]
struct Metadata<'a> {
    #[serde(flatten)]
    artifact: &'a Artifact,
    network: featurizer::NetworkOptions,
}

/// Makes the networks that are missing in `dir`, with random weights, or all of them. Returns the files of the classifiers
/// that learn from those.
pub(crate) fn make(dir: &Path, force: bool) -> anyhow::Result<Vec<&'static str>> {
    let mut learn = Vec::new();
    for network in &NETWORKS {
        match network.found(dir) {
            Some(found) if !force && network.keeps(&found) => {
                let path = network.path(dir);
                println!("{}: present, {}", path.display(), found.provenance);
            }
            _ => {
                network.write(dir, &network.draw(), &network.seeded())?;
                learn.push(network.classifier);
            }
        }
    }
    Ok(learn)
}

/// Makes networks from files of weights, in place of those in `dir`; `network` names the architecture where the names
/// of the tensors do not tell it. Nothing is written unless all of the files fit.
pub(crate) fn convert(dir: &Path, files: &[PathBuf], network: Option<&str>) -> anyhow::Result<()> {
    let converted = files.iter().map(|file| {
        println!("{}: reading ...", file.display());
        let dict = StateDict::read(file)?;
        let network = match network {
            Some(name) => NETWORKS.iter().find(|network| network.name == name),
            None => recognise(&dict),
        };
        let network = network.with_context(|| undecided(file, &dict))?;
        let graph = (network.graph)();
        fit::check(&dict, network, graph.layers())
            .with_context(|| format!("{} does not fit {}", file.display(), network.name))?;
        let mut layers = graph.layers().iter();
        layers.try_for_each(|layer| layer.fold(&dict).map(drop))?;
        Ok((network, dict, network.trained(file)?))
    });
    let converted = converted.collect::<anyhow::Result<Vec<_>>>()?;
    for (network, dict, artifact) in converted {
        network.write(dir, &dict, &artifact)?;
        network.warn_of_classifier(dir);
    }
    Ok(())
}

/// Writes the random weights as state dicts: `vgg.safetensors` and `inception.safetensors` in `dir`.
pub(crate) fn save_state_dicts(dir: &Path) -> anyhow::Result<()> {
    for network in &NETWORKS {
        let path = dir.join(format!("{}.safetensors", network.name));
        network.draw().save(&path)?;
        println!("{}: made", path.display());
    }
    Ok(())
}

impl Network {
    /// Number of parameters, all tensors of the artifact together.
    fn parameters(&self) -> usize {
        (self.graph)().layers().iter().map(Layer::parameters).sum()
    }

    fn path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}.onnx", self.name))
    }

    fn metadata(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}.onnx.json", self.name))
    }

    /// What the metadata says of the artifact that is there, if both are.
    fn found(&self, dir: &Path) -> Option<Artifact> {
        let metadata = fs::read(self.metadata(dir)).ok()?;
        let artifact = serde_json::from_slice(&metadata).ok()?;
        self.path(dir).exists().then_some(artifact)
    }

    /// Whether an artifact that is there may stay: weights of one's own may, and random ones as they are drawn today.
    fn keeps(&self, found: &Artifact) -> bool {
        found.trained || *found == self.seeded()
    }

    fn seeded(&self) -> Artifact {
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

    fn trained(&self, file: &Path) -> anyhow::Result<Artifact> {
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

    fn draw(&self) -> StateDict {
        println!(
            "{}: drawing {} parameters ...",
            self.name,
            self.parameters()
        );
        seeded::draw((self.graph)().layers(), self.seed)
    }

    fn write(&self, dir: &Path, dict: &StateDict, artifact: &Artifact) -> anyhow::Result<()> {
        let start = Instant::now();
        let path = self.path(dir);
        println!("{}: writing ...", path.display());
        let graph = (self.graph)();
        let mut tensors = Vec::new();
        for layer in graph.layers() {
            tensors.extend(layer.fold(dict)?);
        }
        let bytes = graph.model(tensors).encode_to_vec();
        // The old metadata must not speak for the new weights.
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

    /// Says that a classifier has learnt from the features of the network that was there before.
    fn warn_of_classifier(&self, dir: &Path) {
        let classifier = dir.join(self.classifier);
        if classifier.exists() {
            println!(
                "{}: learnt from other features and no longer fits: remove it and run `artifacts`, or `train` one",
                classifier.display()
            );
        }
    }
}

/// The network to which more of the names are known than to any other.
fn recognise(dict: &StateDict) -> Option<&'static Network> {
    let mut counts = NETWORKS
        .each_ref()
        .map(|network| (fit::count_known(dict, network), network));
    counts.sort_by_key(|(known, _)| *known);
    let [.., (second, _), (most, network)] = counts;
    (most > second).then_some(network)
}

fn undecided(file: &Path, dict: &StateDict) -> String {
    let names: Vec<_> = dict.names().take(3).collect();
    format!(
        "{}: whose weights these are cannot be told from their names ({}, ...): torchvision's are `features.0.weight`, \
         `Conv2d_1a_3x3.conv.weight`, ...; say --network to see name by name what is wrong",
        file.display(),
        names.join(", ")
    )
}

fn sha256(path: &Path) -> io::Result<String> {
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

/// Writes a file under another name first, so that an interrupted run leaves no half artifact behind.
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
    fn weights_of_ones_own_become_an_artifact_as_seeded_ones_do() {
        let folder = tempfile::tempdir().unwrap();
        let inception = &inception::NETWORK;
        let mut weights = inception.draw();
        inception
            .write(folder.path(), &weights, &inception.seeded())
            .unwrap();
        let seeded = fs::read(folder.path().join("inception.onnx")).unwrap();

        // What torchvision's state dict has beyond what the network is made of.
        for name in [
            "fc.weight",
            "AuxLogits.fc.bias",
            "Mixed_5b.branch1x1.bn.num_batches_tracked",
        ] {
            weights.insert(name.into(), vec![1], [0.0]);
        }
        let file = folder.path().join("own.safetensors");
        weights.save(&file).unwrap();
        let own = folder.path().join("own");
        fs::create_dir(&own).unwrap();
        convert(&own, std::slice::from_ref(&file), None).unwrap();
        assert!(fs::read(own.join("inception.onnx")).unwrap() == seeded);
        let artifact = inception.found(&own).unwrap();
        let provenance = format!("own.safetensors (SHA-256 {})", sha256(&file).unwrap());
        assert!(artifact.provenance.ends_with(&provenance), "{artifact:?}");
        assert!(artifact.trained);
    }

    #[test]
    fn own_weights_and_todays_seeded_ones_are_kept_and_older_seeded_ones_are_not() {
        let vgg = &vgg::NETWORK;
        let mut found = vgg.seeded();
        assert!(vgg.keeps(&found));
        found.provenance.push_str(", as drawn last year");
        assert!(!vgg.keeps(&found));
        found.trained = true;
        assert!(vgg.keeps(&found));
    }

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
