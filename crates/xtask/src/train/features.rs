//! Computes features of pictures with a network.

use std::{fs, path::PathBuf};

use anyhow::{Context, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use indicatif::{ProgressBar, ProgressStyle};
use model::{Batch, DataType, Model, Output};

use super::{examples::Examples, pictures::Pictures};

/// Pictures per call of a network.
const BATCH: usize = 16;

/// Features of every picture. A picture that cannot be decoded is reported on standard error and left out.
pub(crate) fn compute(
    network: &mut dyn Model,
    pictures: &Pictures,
    bar: &ProgressBar,
) -> anyhow::Result<Examples> {
    let style = "  {prefix:10} {wide_bar} {pos}/{len} pictures, {eta} left";
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.set_length(pictures.files.len() as u64);
    let mut examples = Examples::default();
    for files in pictures.files.chunks(BATCH) {
        let texts: Vec<_> = files.iter().map(base64).collect::<Result<_, _>>()?;
        let batch = Batch {
            data_type: DataType::Strings,
            inputs: texts.iter().map(String::as_bytes).collect(),
        };
        for ((path, class), answer) in files.iter().zip(network.predict(&batch)?) {
            match answer {
                Ok(Output::Floats(features)) => examples.push(&features, *class),
                Ok(other) => bail!("a network must answer floats, not {}", other.data_type()),
                Err(why) => bar.suspend(|| eprintln!("  left out   {}: {why}", path.display())),
            }
        }
        bar.inc(files.len() as u64);
    }
    Ok(examples)
}

fn base64((path, _): &(PathBuf, usize)) -> anyhow::Result<String> {
    let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BASE64_STANDARD.encode(file))
}
