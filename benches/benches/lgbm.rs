//! lgbm in process: batches of vectors of 2,048 floats.

use lgbm::{Lgbm, Settings};

fn main() -> Result<(), lgbm::Error> {
    let settings = Settings {
        threads: benches::threads(),
        artifact: None,
    };
    let mut model = Lgbm::load(&benches::artifact("lgbm.txt"), settings)?;
    benches::bench_floats("lgbm", &mut model, 2048, 1.0);
    Ok(())
}
