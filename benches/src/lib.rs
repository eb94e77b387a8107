//! What the models' benches share: predictions of batches, in process. The bare loop that the frontend's bench compares
//! with is in `src/bin/bare.rs`.

use std::{path::PathBuf, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput};
use model::{Batch, DataType, Model};
use rand::{RngExt, SeedableRng};

/// The artifact of this name, in the workspace's `artifacts` folder.
pub fn artifact(file: &str) -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.with_file_name("artifacts").join(file)
}

/// Threads for one batch: the CPUs that the bench may use.
pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Measures batches of seeded random floats, `length` each from 0 to `scale`.
///
/// # Panics
/// If the model fails: there is nothing to measure then.
pub fn bench_floats(name: &str, model: &mut impl Model, length: usize, scale: f32) {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    let mut group = criterion.benchmark_group(name);
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::from_seed([7; 32]);
    for size in [1_usize, 4, 32] {
        let inputs: Vec<Vec<u8>> = (0..size)
            .map(|_| {
                let values = (0..length).map(|_| random.random::<f32>() * scale);
                values.flat_map(f32::to_le_bytes).collect()
            })
            .collect();
        let batch = Batch {
            data_type: DataType::Floats,
            inputs: inputs.iter().map(Vec::as_slice).collect(),
        };
        group.throughput(Throughput::Elements(size as u64));
        let id = BenchmarkId::new(format!("{} threads", model.info().threads), size);
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let predictions = model.predict(&batch).expect("the model predicts");
                assert!(predictions.iter().all(Result::is_ok), "an input failed");
                predictions
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
