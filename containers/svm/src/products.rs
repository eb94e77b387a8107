//! Inner products of inputs and points: a matrix product, or for a few inputs one pass over the points.

use linfa::Float;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, linalg::general_mat_mul};

/// Up to so many inputs a matrix product loses: it packs all points first, which takes longer than the products.
const FEW: usize = 4;
/// Points that one pass reads at the same time: a single stream leaves most of the memory's bandwidth unused.
const STREAMS: usize = 8;
/// Partial sums of an inner product.
const LANES: usize = 8;

/// Fills `products` (inputs x points); the others are inputs x features and points x features.
pub(crate) fn fill<F: Float>(
    mut products: ArrayViewMut2<F>,
    inputs: ArrayView2<F>,
    points: ArrayView2<F>,
) {
    match (inputs.to_slice(), points.to_slice()) {
        (Some(inputs), Some(points)) if products.nrows() <= FEW => pass(products, inputs, points),
        _ => general_mat_mul(F::one(), &inputs, &points.t(), F::zero(), &mut products),
    }
}

/// One pass over the points; inputs and points are rows, one after the other.
fn pass<F: Float>(mut products: ArrayViewMut2<F>, inputs: &[F], points: &[F]) {
    let width = (points.len() / products.ncols().max(1)).max(1);
    for (block, points) in points.chunks(STREAMS * width).enumerate() {
        let last = points.len() / width - 1;
        // The last block may have fewer points: its last one is then taken again, to no effect.
        let rows = std::array::from_fn(|row| &points[row.min(last) * width..][..width]);
        for (input, mut products) in inputs.chunks(width).zip(products.axis_iter_mut(Axis(0))) {
            let places = products.iter_mut().skip(block * STREAMS);
            for (place, product) in places.zip(dots(rows, input)) {
                *place = product;
            }
        }
    }
}

/// The inner product of each of `rows` with `input`.
fn dots<F: Float>(rows: [&[F]; STREAMS], input: &[F]) -> [F; STREAMS] {
    let (input, input_rest) = input.as_chunks::<LANES>();
    let parts = rows.map(|row| row.as_chunks::<LANES>());
    let chunks = parts.map(|(chunks, _)| &chunks[..input.len()]);
    let mut sums = [[F::zero(); LANES]; STREAMS];
    for (at, input) in input.iter().enumerate() {
        for (sums, chunks) in sums.iter_mut().zip(&chunks) {
            add_products(sums, &chunks[at], input);
        }
    }
    std::array::from_fn(|row| {
        let rest = parts[row].1.iter().zip(input_rest).map(|(&a, &b)| a * b);
        sums[row].into_iter().chain(rest).sum()
    })
}

#[inline(always)]
fn add_products<F: Float>(sums: &mut [F; LANES], a: &[F; LANES], b: &[F; LANES]) {
    for lane in 0..LANES {
        sums[lane] += a[lane] * b[lane];
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn few_inputs_and_many_get_the_same_products() {
        for (points, width) in [(1, 1), (5, 3), (8, 8), (21, 37), (40, 64)] {
            let points = Array2::from_shape_fn((points, width), |(i, j)| (i * width + j) as f64);
            for inputs in 1..=FEW + 1 {
                let inputs = Array2::from_shape_fn((inputs, width), |(i, j)| (7 * i + j) as f64);
                let mut products = Array2::zeros((inputs.nrows(), points.nrows()));
                fill(products.view_mut(), inputs.view(), points.view());
                assert_eq!(products, inputs.dot(&points.t()));
            }
        }
    }
}
