//! Sums of RBF kernels, for a whole batch by matrix product.

use linfa::Float;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis};

use crate::{products, threads::Threads};

/// Multiplications that are worth a thread: some 20 µs of them, which is what it takes to wake one.
const WORTH_A_THREAD: usize = 1 << 19;

/// What defines `f(x) = sum_i weights[i] * exp(-sum_j gamma[j] (x[j] - points[i, j])^2) - offsets`.
///
/// Kernel PCA and the one-vs-one SVM are both of this form, so both are stored, and computed, as one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameters<F> {
    /// Points x features.
    pub(crate) points: Array2<F>,
    /// One for all features, or one per feature: one over the square of a length, in units of the feature.
    pub(crate) gamma: Array1<F>,
    /// Points x outputs.
    pub(crate) weights: Array2<F>,
    /// One per output.
    pub(crate) offsets: Array1<F>,
}

impl Parameters<f64> {
    /// The same in the precision that is served.
    pub(crate) fn to_f32(&self) -> Parameters<f32> {
        Parameters {
            points: self.points.mapv(|value| value as f32),
            gamma: self.gamma.mapv(|value| value as f32),
            weights: self.weights.mapv(|value| value as f32),
            offsets: self.offsets.mapv(|value| value as f32),
        }
    }
}

/// [`Parameters`], ready to compute with.
pub(crate) struct KernelSum<F> {
    kernel: Kernel<F>,
    weights: Array2<F>,
    offsets: Array1<F>,
}

impl<F: Float> KernelSum<F> {
    pub(crate) fn new(parameters: Parameters<F>) -> KernelSum<F> {
        KernelSum {
            kernel: Kernel::new(parameters.points, &parameters.gamma),
            weights: parameters.weights,
            offsets: parameters.offsets,
        }
    }

    /// Features of one input.
    pub(crate) fn width(&self) -> usize {
        self.kernel.points.ncols()
    }

    /// One row of outputs per row of `inputs` (inputs x features); NaN for a row that [`Kernel::rows`] cannot compute with.
    pub(crate) fn apply(&self, inputs: Array2<F>, threads: &Threads) -> Array2<F> {
        self.kernel.rows(inputs, threads).dot(&self.weights) - &self.offsets
    }
}

/// `k(x, p) = exp(-sum_j gamma[j] (x[j] - p[j])^2)` against fixed points.
///
/// Points and inputs are moved so that the mean of the points is zero, and scaled so that gamma is 1. Then
/// `|x - p|^2 = |x|^2 + |p|^2 - 2xp` is a matrix product, and does not lose the digits of a cloud that lies far from zero.
pub(crate) struct Kernel<F> {
    /// The mean of the points, before they were moved.
    origin: Array1<F>,
    /// One per feature: the root of its gamma.
    scale: Array1<F>,
    /// Moved and scaled.
    points: Array2<F>,
    /// `|p|^2` of each of the moved and scaled points.
    norms: Array1<F>,
}

impl<F: Float> Kernel<F> {
    /// The kernel against `points` (points x features), with a gamma for all features or for each.
    pub(crate) fn new(points: Array2<F>, gamma: &Array1<F>) -> Kernel<F> {
        let width = points.ncols();
        let scale = gamma.broadcast(width).expect("one gamma, or one each");
        let mut kernel = Kernel {
            origin: points
                .mean_axis(Axis(0))
                .unwrap_or_else(|| Array1::zeros(width)),
            scale: scale.mapv(F::sqrt),
            norms: Array1::zeros(points.nrows()),
            points: Array2::zeros((0, width)),
        };
        let (points, norms) = kernel.place(points, &Threads::ONE);
        kernel.points = points;
        kernel.norms = norms;
        kernel
    }

    /// The kernel of every input against every point (inputs x points).
    ///
    /// NaN for an input that has a NaN or an infinity, or whose squares overflow.
    pub(crate) fn rows(&self, inputs: Array2<F>, threads: &Threads) -> Array2<F> {
        let (inputs, input_norms) = self.place(inputs, threads);
        let mut rows = Array2::zeros((inputs.nrows(), self.points.nrows()));
        let chunk = chunk(self.points.nrows(), inputs.len(), threads);
        let chunks = rows
            .axis_chunks_iter_mut(Axis(1), chunk)
            .zip(self.points.axis_chunks_iter(Axis(0), chunk))
            .zip(self.norms.axis_chunks_iter(Axis(0), chunk));
        let inputs = (inputs.view(), input_norms.view());
        threads.share(chunks, |((rows, points), norms)| {
            fill(rows, inputs, (points, norms));
        });
        rows
    }

    /// Moves and scales `rows`, and returns them with the square of each one's norm; NaN where that is not finite.
    fn place(&self, mut rows: Array2<F>, threads: &Threads) -> (Array2<F>, Array1<F>) {
        let mut norms = Array1::zeros(rows.nrows());
        let chunk = chunk(rows.nrows(), rows.ncols(), threads);
        let chunks = rows
            .axis_chunks_iter_mut(Axis(0), chunk)
            .zip(norms.axis_chunks_iter_mut(Axis(0), chunk));
        threads.share(chunks, |(mut rows, mut norms)| {
            for (mut row, norm) in rows.rows_mut().into_iter().zip(&mut norms) {
                row -= &self.origin;
                row *= &self.scale;
                let square = row.dot(&row);
                *norm = if square.is_finite() { square } else { F::nan() };
            }
        });
        (rows, norms)
    }
}

/// How many of `length` items one thread takes, if each is worth `work` multiplications.
fn chunk(length: usize, work: usize, threads: &Threads) -> usize {
    let worth = length.saturating_mul(work) / WORTH_A_THREAD;
    length.div_ceil(worth.clamp(1, threads.count())).max(1)
}

/// The kernel's part that belongs to `points`; both sides come with the squares of their norms.
fn fill<F: Float>(
    mut rows: ArrayViewMut2<F>,
    (inputs, input_norms): (ArrayView2<F>, ArrayView1<F>),
    (points, norms): (ArrayView2<F>, ArrayView1<F>),
) {
    products::fill(rows.view_mut(), inputs, points);
    for (mut row, &input_norm) in rows.rows_mut().into_iter().zip(&input_norms) {
        row.zip_mut_with(&norms, |value, &norm| {
            let distance = input_norm + norm - *value - *value;
            // Rounding may leave a distance of zero a little below zero. NaN stays.
            *value = if distance < F::zero() {
                F::one()
            } else {
                (-distance).exp()
            };
        });
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Points near (1000, 1000, ...): squared they have no digit left for their distances in `f32`.
    fn far_points(count: usize, width: usize) -> Array2<f32> {
        Array2::from_shape_fn((count, width), |(row, column)| {
            1000.0 + ((row * width + column) as f32).sin()
        })
    }

    #[test]
    fn kernels_of_points_far_from_zero_keep_their_digits() {
        let points = far_points(7, 3);
        for gamma in [array![0.5, 0.5, 0.5], array![0.1, 2.0, 0.5]] {
            let kernel = Kernel::new(points.clone(), &gamma);
            for inputs in [
                points.clone(),
                points.slice(ndarray::s![2..3, ..]).to_owned(),
            ] {
                let rows = kernel.rows(inputs.clone(), &Threads::ONE);
                for (x, row) in inputs.rows().into_iter().zip(rows.rows()) {
                    for (p, &value) in points.rows().into_iter().zip(row) {
                        let square = |j: usize| gamma[j] * (x[j] - p[j]) * (x[j] - p[j]);
                        let expected = (-(0..3).map(square).sum::<f32>()).exp();
                        assert!((value - expected).abs() < 1e-5, "{value} is not {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_rows() {
        let points = far_points(1000, 1200);
        let kernel = Kernel::new(points.clone(), &array![0.0015]);
        for inputs in [1, 5, 1000] {
            let inputs = points.slice(ndarray::s![..inputs, ..]);
            let alone = kernel.rows(inputs.to_owned(), &Threads::ONE);
            for threads in [0, 2, 3, 7] {
                let threads = Threads::new(threads).unwrap();
                let rows = kernel.rows(inputs.to_owned(), &threads);
                assert!(rows.iter().all(|value| value.is_finite()));
                let worst = (&rows - &alone)
                    .iter()
                    .fold(0.0_f32, |worst, d| worst.max(d.abs()));
                assert!(worst < 1e-5, "{} threads: {worst}", threads.count());
            }
        }
    }

    #[test]
    fn an_input_that_cannot_be_computed_with_becomes_nan_alone() {
        let points = far_points(3, 2);
        let kernel = Kernel::new(points, &array![0.5]);
        let inputs = array![
            [1000.0, 1000.0],
            [f32::NAN, 0.0],
            [f32::INFINITY, 0.0],
            [1e30, 0.0]
        ];
        let rows = kernel.rows(inputs, &Threads::ONE);
        assert!(rows.row(0).iter().all(|value| value.is_finite()));
        assert!(
            rows.slice(ndarray::s![1.., ..])
                .iter()
                .all(|value| value.is_nan())
        );
    }
}
