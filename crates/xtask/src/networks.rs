//! The networks' artifacts: ONNX files, from the weights of a state dict.
//!
//! Trained weights and seeded random weights take the same path. Beside each artifact lies a small metadata file, which
//! benchmark results repeat: a network with random weights is as fast as a trained one, but its output has no meaning.

mod fit;
mod graph;
mod inception;
mod layer;
mod network;
mod seeded;
mod state_dict;
mod vgg;

use std::path::{Path, PathBuf};

use anyhow::Context;

use network::Network;
use state_dict::StateDict;

static NETWORKS: [Network; 2] = [vgg::NETWORK, inception::NETWORK];

/// Names of the networks, as `--network` takes them.
pub(crate) const NAMES: [&str; 2] = [vgg::NETWORK.name, inception::NETWORK.name];

/// Makes the networks that are missing in `dir`, or all of them, with random weights. Returns the files of the
/// classifiers that depend on them.
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

/// Makes networks from files of weights and replaces those in `dir`. `network` names the architecture where the tensor
/// names do not determine it. Writes nothing unless all of the files fit.
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

/// The network that knows more of the names than any other.
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{network::sha256, *};

    #[test]
    fn trained_weights_become_an_artifact() {
        let folder = tempfile::tempdir().unwrap();
        let inception = &inception::NETWORK;
        let mut weights = inception.draw();
        inception
            .write(folder.path(), &weights, &inception.seeded())
            .unwrap();
        let seeded = fs::read(folder.path().join("inception.onnx")).unwrap();

        // Entries of torchvision's state dict that the network does not use.
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
    fn only_older_seeded_weights_are_replaced() {
        let vgg = &vgg::NETWORK;
        let mut found = vgg.seeded();
        assert!(vgg.keeps(&found));
        found.provenance.push_str(", as drawn last year");
        assert!(!vgg.keeps(&found));
        found.trained = true;
        assert!(vgg.keeps(&found));
    }
}
