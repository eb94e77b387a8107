//! lgbm in process: batches of 2,048 floats, compared with direct calls of LightGBM with prepared
//! rows on one thread.

use std::fs;

use benches::{Bench, artifact, floats, floats_of, predict, threads};
use lgbm::{Lgbm, Settings};
use lightgbm3::Booster;
use serde_json::json;

const WIDTH: usize = 2048;

fn main() -> anyhow::Result<()> {
    let path = artifact("lgbm.txt");
    let mut engine = Booster::from_string(&fs::read_to_string(&path)?)?;
    engine.single_row_fast_init::<f32>(Some(&json!({ "num_threads": 1 })))?;
    let mut bench = Bench::new("lgbm", "LightGBM on one thread");
    for threads in threads() {
        let settings = Settings {
            threads,
            ..Settings::default()
        };
        let mut model = Lgbm::load(&path, settings)?;
        for size in [1, 2, 4, 16, 32, 64, 256, 1024] {
            let inputs = floats(size, WIDTH, 1.0);
            let rows = floats_of(&inputs);
            // One thread, because OpenMP's threads would spin during the next measurement of lgbm.
            let call = || match size {
                1 => engine.predict_single_row_fast(&rows),
                _ => engine.predict_with_params(&rows, WIDTH as i32, true, "num_threads=1"),
            };
            bench.row(
                &format!("{threads} threads"),
                size,
                || drop(std::hint::black_box(call().expect("LightGBM predicts"))),
                || predict(&mut model, &inputs),
            );
        }
    }
    bench.finish();
    Ok(())
}
