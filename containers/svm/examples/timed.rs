//! Measures predictions for `benches/compare/svm.py`.
//!
//! Usage: `timed ARTIFACT INPUTS THREADS`, where INPUTS is a file with rows of little-endian
//! float32. For each batch size read from a line of standard input, it predicts that many rows and
//! prints a line of JSON with the time in seconds and the labels.

use std::{env, fs, io, path::Path, time::Instant};

use anyhow::{Context, bail};
use model::{Batch, DataType, Model, Output};
use svm::{Settings, Svm};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [artifact, inputs, threads] = &arguments[..] else {
        bail!("usage: timed ARTIFACT INPUTS THREADS");
    };
    let settings = Settings {
        threads: threads.parse()?,
        ..Settings::default()
    };
    let mut model = Svm::load(Path::new(artifact), settings)?;
    let bytes = fs::read(inputs).with_context(|| format!("cannot read {inputs}"))?;
    let rows = bytes.chunks_exact(4 * model.info().input_shape[0]);
    for line in io::stdin().lines() {
        let size = line?.trim().parse()?;
        let batch = Batch {
            data_type: DataType::Floats,
            inputs: rows.clone().take(size).collect(),
        };
        let start = Instant::now();
        let answers = model.predict(&batch)?;
        let seconds = start.elapsed().as_secs_f64();
        let labels: Result<Vec<_>, _> = answers.into_iter().collect();
        let labels: Vec<_> = labels?.iter().map(Output::to_text).collect();
        println!(
            "{}",
            serde_json::json!({ "seconds": seconds, "labels": labels })
        );
    }
    Ok(())
}
