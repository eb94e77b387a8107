//! svm in process, compared with the matrix product of a batch and the prepacked training points on
//! one thread.
//!
//! The product is the minimum cost of a kernel between them; the rest is overhead.

use std::fs;

use anyhow::Context;
use benches::Bench;
use rayon::ThreadPoolBuilder;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, PackedBMatrix};
use rten_tensor::NdTensorView;
use safetensors::SafeTensors;
use svm::{Settings, Svm};

fn main() -> anyhow::Result<()> {
    let file = benches::artifact("svm.safetensors");
    let (points, width) = training_points()?;
    let values = benches::floats_of(&benches::floats(points, width, 1.0));
    let points = NdTensorView::from_data([points, width], &values[..]);
    let points = GemmExecutor::<f32>::new().prepack_b(points.transposed());
    let one_thread = ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut bench = Bench::new("svm", "product, 1 thread");
    for threads in benches::threads() {
        let settings = Settings {
            threads,
            ..Settings::default()
        };
        let mut model = Svm::load(&file, settings)?;
        for size in [1, 4, 32, 128, 512] {
            let inputs = benches::floats(size, width, 1.0);
            let rows = benches::floats_of(&inputs);
            bench.row(
                &format!("{threads} threads"),
                size,
                || {
                    std::hint::black_box(one_thread.install(|| product(&rows, &points)));
                },
                || benches::predict(&mut model, &inputs),
            );
        }
    }
    bench.finish();
    Ok(())
}

/// Returns the number and the width of the artifact's training points.
fn training_points() -> anyhow::Result<(usize, usize)> {
    let path = benches::artifact("svm.safetensors");
    let bytes = fs::read(&path)
        .with_context(|| format!("cannot read {}: run `make artifacts`", path.display()))?;
    let arrays = SafeTensors::deserialize(&bytes)?;
    let points = arrays.tensor("pca.points")?;
    let &[points, features] = points.shape() else {
        anyhow::bail!("{}: pca.points is not a matrix", path.display());
    };
    Ok((points, features))
}

/// Multiplies the concatenated inputs by the points.
fn product(inputs: &[f32], points: &PackedBMatrix<f32>) -> Vec<f32> {
    let (size, width) = (inputs.len() / points.rows(), points.rows());
    let inputs = NdTensorView::from_data([size, width], inputs);
    let mut products = vec![0.0; size * points.cols()];
    let (inputs, points) = (GemmInputA::Unpacked(inputs), GemmInputB::Packed(points));
    let done = GemmExecutor::new().gemm(&mut products, inputs, points, Default::default());
    done.expect("inputs and points have the same width");
    products
}
