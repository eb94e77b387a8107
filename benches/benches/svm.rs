//! svm in process, on one thread and on all, beside the bare matrix product of the same shape on one.
//!
//! The product is all that a kernel between a batch and the training points must cost: the rest is overhead.

use std::{fs, time::Duration};

use anyhow::Context;
use criterion::{BenchmarkId, Criterion, Throughput};
use model::{Batch, DataType, Model};
use ndarray::{Array2, ArrayView2};
use rand::{RngExt, SeedableRng};
use safetensors::SafeTensors;
use svm::{Settings, Svm};

const BATCHES: [usize; 5] = [1, 4, 32, 128, 512];

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let points = training_points()?;
    let mut threads = vec![1, benches::threads()];
    threads.dedup();
    let mut models = Vec::new();
    for threads in threads {
        let settings = Settings {
            threads,
            artifact: None,
        };
        models.push(Svm::load(&benches::artifact("svm.safetensors"), settings)?);
    }
    let mut group = criterion.benchmark_group("svm");
    for size in BATCHES {
        group.throughput(Throughput::Elements(size as u64));
        let inputs = random(size, points.ncols());
        let id = BenchmarkId::new("product, 1 threads", size);
        group.bench_function(id, |bencher| {
            bencher.iter(|| product(inputs.view(), points.view()));
        });
        let bytes = |row: &[f32]| row.iter().flat_map(|value| value.to_le_bytes()).collect();
        let rows = inputs.as_slice().expect("a new array is contiguous");
        let rows: Vec<Vec<u8>> = rows.chunks(points.ncols()).map(bytes).collect();
        let batch = Batch {
            data_type: DataType::Floats,
            inputs: rows.iter().map(Vec::as_slice).collect(),
        };
        for model in &mut models {
            let id = BenchmarkId::new(format!("svm, {} threads", model.info().threads), size);
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    let answers = model.predict(&batch).expect("the model predicts");
                    assert!(answers.iter().all(Result::is_ok), "an input failed");
                    answers
                });
            });
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// Random numbers in the shape of the artifact's training points (points x features).
fn training_points() -> anyhow::Result<Array2<f32>> {
    let path = benches::artifact("svm.safetensors");
    let bytes = fs::read(&path)
        .with_context(|| format!("{}: `make artifacts` makes it", path.display()))?;
    let arrays = SafeTensors::deserialize(&bytes)?;
    let points = arrays.tensor("pca.points")?;
    let [points, features] = points.shape() else {
        anyhow::bail!("{}: pca.points is no matrix", path.display());
    };
    Ok(random(*points, *features))
}

fn random(rows: usize, columns: usize) -> Array2<f32> {
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::from_seed([7; 32]);
    Array2::from_shape_simple_fn((rows, columns), || random.random())
}

/// The product of a batch and the points, as the engine does it: for one input, a matrix and a vector.
fn product(inputs: ArrayView2<f32>, points: ArrayView2<f32>) -> Array2<f32> {
    if inputs.nrows() == 1 {
        let product = points.dot(&inputs.row(0));
        return product.insert_axis(ndarray::Axis(0));
    }
    inputs.dot(&points.t())
}
