//! Matrix products and exponentials in both precisions: float64 for training and for double inputs,
//! float32 for float inputs.

use model::Numeric;
use ndarray::{Array2, ArrayView2, CowArray, Ix2, NdFloat};
use num_traits::FromPrimitive;
use rten_gemm::{GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::SimdUnaryOp;
use rten_tensor::NdTensorView;
use rten_vecmath::Exp;

/// Number type of a kernel, and its operations.
pub(crate) trait Precision: NdFloat + FromPrimitive + Numeric {
    /// NumPy's name of the type.
    const NAME: &str;

    /// The rows of a matrix, laid out once for any number of products.
    type Rows: Send + Sync;

    /// Rounds to the nearest number of this precision.
    fn rounded(value: f64) -> Self;

    /// Lays out `rows`.
    fn lay_out(rows: ArrayView2<Self>) -> Self::Rows;

    /// Returns the inner products of each row of `left` with each of `rows` (left rows x rows); all
    /// rows have the same length.
    fn products(left: &Array2<Self>, rows: &Self::Rows) -> Array2<Self>;

    /// Replaces each value by its exponential; NaN is kept.
    fn exponentials(values: &mut Array2<Self>);
}

impl Precision for f64 {
    const NAME: &str = "float64";

    type Rows = Array2<f64>;

    fn rounded(value: f64) -> f64 {
        value
    }

    fn lay_out(rows: ArrayView2<f64>) -> Array2<f64> {
        rows.to_owned()
    }

    fn products(left: &Array2<f64>, rows: &Array2<f64>) -> Array2<f64> {
        left.dot(&rows.t())
    }

    fn exponentials(values: &mut Array2<f64>) {
        values.mapv_inplace(f64::exp);
    }
}

impl Precision for f32 {
    const NAME: &str = "float32";

    /// Laid out for the CPU's widest vectors. Doing so in each product would more than double its
    /// time for 32 inputs.
    type Rows = PackedBMatrix<f32>;

    fn rounded(value: f64) -> f32 {
        value as f32
    }

    fn lay_out(rows: ArrayView2<f32>) -> PackedBMatrix<f32> {
        let rows = rows.as_standard_layout();
        GemmExecutor::new().prepack_b(view(&rows).transposed())
    }

    fn products(left: &Array2<f32>, rows: &PackedBMatrix<f32>) -> Array2<f32> {
        let left = left.as_standard_layout();
        let mut products = Array2::zeros((left.nrows(), rows.cols()));
        let done = GemmExecutor::new().gemm(
            products.as_slice_mut().expect("in standard layout"),
            GemmInputA::Unpacked(view(&left)),
            GemmInputB::Packed(rows),
            GemmOptions::default(),
        );
        done.expect("all rows have the same length");
        products
    }

    fn exponentials(values: &mut Array2<f32>) {
        Exp {}.map_mut(values.as_slice_mut().expect("in standard layout"));
    }
}

fn view<'a>(matrix: &'a CowArray<f32, Ix2>) -> NdTensorView<'a, f32, 2> {
    let values = matrix.as_slice().expect("in standard layout");
    NdTensorView::from_data([matrix.nrows(), matrix.ncols()], values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float32_products_equal_float64_products() {
        for (rows, width) in [(1, 1), (5, 3), (8, 8), (21, 37), (40, 64), (300, 70)] {
            let rows = Array2::from_shape_fn((rows, width), |(i, j)| ((i * width + j) % 50) as f64);
            let laid_out = f32::lay_out(rows.mapv(|value| value as f32).view());
            for left in [0, 1, 4, 7, 65] {
                let left = Array2::from_shape_fn((left, width), |(i, j)| ((7 * i + j) % 50) as f64);
                let products = f32::products(&left.mapv(|value| value as f32), &laid_out);
                assert_eq!(products.mapv(f64::from), f64::products(&left, &rows));
            }
        }
    }

    #[test]
    fn exponentials_have_float32_precision_and_keep_nan() {
        let mut values = Array2::from_shape_fn((1, 1001), |(_, i)| -0.1 * i as f32);
        let expected = values.mapv(|value| f64::from(value).exp());
        f32::exponentials(&mut values);
        for (value, expected) in values.iter().zip(expected) {
            let error = (f64::from(*value) - expected).abs();
            assert!(error < 2e-7 * expected + 1e-37, "{value} is not {expected}");
        }
        let mut nan = ndarray::array![[f32::NAN]];
        f32::exponentials(&mut nan);
        assert!(nan[[0, 0]].is_nan());
    }
}
