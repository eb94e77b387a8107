//! svm in process: batches of vectors of 4,096 floats.

use svm::{Settings, Svm};

fn main() -> Result<(), svm::Error> {
    let settings = Settings {
        threads: benches::threads(),
        artifact: None,
    };
    let mut model = Svm::load(&benches::artifact("svm.safetensors"), settings)?;
    benches::bench_floats("svm", &mut model, 4096, 1.0);
    Ok(())
}
