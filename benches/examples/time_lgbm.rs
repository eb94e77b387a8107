//! Times lgbm's predictions for `benches/compare/lgbm.py`, which alternates between this program
//! and LightGBM's Python package.
//!
//! `time_lgbm MODEL ROWS THREADS`: ROWS is a file of float32 rows. For each line `BATCH CALLS` of
//! standard input, it predicts the first BATCH rows CALLS times, and prints the seconds of each
//! call.

use std::{
    env, fs,
    io::{self, BufRead},
    path::Path,
    time::Instant,
};

use anyhow::{Context, ensure};
use lgbm::{Lgbm, Settings};
use model::{Batch, DataType, Model};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [path, rows, threads] = arguments.as_slice() else {
        anyhow::bail!("usage: time_lgbm MODEL ROWS THREADS");
    };
    let settings = Settings {
        threads: threads
            .parse()
            .with_context(|| format!("invalid number of threads: {threads}"))?,
        ..Settings::default()
    };
    let mut model = Lgbm::load(Path::new(path), settings)?;
    let rows = fs::read(rows).with_context(|| format!("cannot read {rows}"))?;
    let width = model.info().input_shape[0] * 4;
    let inputs: Vec<&[u8]> = rows.chunks_exact(width).collect();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (batch, calls) = line
            .split_once(' ')
            .context("a line of standard input is not `BATCH CALLS`")?;
        let (batch, calls): (usize, usize) = (batch.parse()?, calls.parse()?);
        ensure!(
            batch <= inputs.len(),
            "batch of {batch} rows: the file has {} rows",
            inputs.len()
        );
        let batch = Batch {
            data_type: DataType::Floats,
            inputs: inputs[..batch].to_vec(),
        };
        let mut seconds = Vec::with_capacity(calls);
        for _ in 0..calls {
            let start = Instant::now();
            let predictions = model.predict(&batch)?;
            seconds.push(start.elapsed().as_secs_f64().to_string());
            ensure!(predictions.iter().all(Result::is_ok), "an input failed");
        }
        println!("{}", seconds.join(" "));
    }
    Ok(())
}
