//! svm in process, beside the bare matrix product of a batch and the training points on one thread.
//!
//! The product is all that a kernel between them must cost: the rest is overhead.

use std::fs;

use anyhow::Context;
use benches::Bench;
use ndarray::{Array2, ArrayView2, Axis};
use safetensors::SafeTensors;
use svm::{Settings, Svm};

fn main() -> anyhow::Result<()> {
    let file = benches::artifact("svm.safetensors");
    let (points, width) = training_points()?;
    let points_of = benches::floats(points, width, 1.0);
    let points = Array2::from_shape_vec((points, width), benches::floats_of(&points_of))?;
    let mut bench = Bench::new("svm", "product, 1 thread");
    for threads in benches::threads() {
        let settings = Settings {
            threads,
            artifact: None,
        };
        let mut model = Svm::load(&file, settings)?;
        for size in [1, 4, 32, 128, 512] {
            let inputs = benches::floats(size, width, 1.0);
            let rows = Array2::from_shape_vec((size, width), benches::floats_of(&inputs))?;
            bench.row(
                &format!("{threads} threads"),
                size,
                || {
                    std::hint::black_box(product(rows.view(), points.view()));
                },
                || benches::predict(&mut model, &inputs),
            );
        }
    }
    bench.finish();
    Ok(())
}

/// Number and width of the artifact's training points.
fn training_points() -> anyhow::Result<(usize, usize)> {
    let path = benches::artifact("svm.safetensors");
    let bytes = fs::read(&path)
        .with_context(|| format!("{}: `make artifacts` makes it", path.display()))?;
    let arrays = SafeTensors::deserialize(&bytes)?;
    let points = arrays.tensor("pca.points")?;
    let &[points, features] = points.shape() else {
        anyhow::bail!("{}: pca.points is no matrix", path.display());
    };
    Ok((points, features))
}

/// As the engine does it: for one input, a matrix and a vector.
fn product(inputs: ArrayView2<f32>, points: ArrayView2<f32>) -> Array2<f32> {
    match inputs.nrows() {
        1 => points.dot(&inputs.row(0)).insert_axis(Axis(0)),
        _ => inputs.dot(&points.t()),
    }
}
