//! The networks' artifacts: the full architectures with seeded random weights, as ONNX files.
//!
//! Beside each lies a small metadata file, which the results of a benchmark repeat: such a network is as fast as a
//! trained one, but its output is no answer.

mod graph;
mod inception;
mod onnx;
mod vgg;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context;
use model::Artifact;
use prost::Message;

use graph::Graph;

/// Makes the networks that are missing in `dir`, or all of them.
pub(crate) fn make(dir: &Path, force: bool) -> anyhow::Result<()> {
    network(dir, &vgg::graph(), 1, force)?;
    network(dir, &inception::graph(), 2, force)
}

fn network(dir: &Path, graph: &Graph, seed: u64, force: bool) -> anyhow::Result<()> {
    let file = format!("{}.onnx", graph.name());
    let path = dir.join(&file);
    let metadata = dir.join(format!("{file}.json"));
    if path.exists() && metadata.exists() && !force {
        println!("{}: present", path.display());
        return Ok(());
    }
    let start = Instant::now();
    let parameters = graph.parameters();
    println!("{}: drawing {parameters} parameters ...", path.display());
    let bytes = graph.model(seed).encode_to_vec();
    let artifact = Artifact {
        file,
        provenance: format!(
            "seeded random weights (He initialisation, seed {seed}): its output is no answer"
        ),
        trained: false,
        ..Artifact::default()
    };
    write(&path, &bytes)?;
    write(&metadata, &serde_json::to_vec_pretty(&artifact)?)?;
    let (size, time) = (bytes.len() / 1_000_000, start.elapsed());
    println!("{}: made, {size} MB in {time:.1?}", path.display());
    Ok(())
}

/// Writes a file under another name first, so that an interrupted run leaves no half artifact behind.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let unfinished = PathBuf::from(format!("{}.unfinished", path.display()));
    fs::write(&unfinished, bytes)
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
