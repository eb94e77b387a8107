//! Sums of RBF kernels, computed for a whole batch by matrix product, one block of points at a
//! time.

use ndarray::{Array1, Array2, Axis, parallel::prelude::*};

use crate::products::Precision;

/// Largest number of points in a block: its part of the kernel then fits a core's L2 cache, for a
/// batch of hundreds.
const BLOCK: usize = 256;

/// Smallest number of multiplications for a thread: about 20 µs, the time to wake one.
const MIN_PER_THREAD: usize = 1 << 19;

/// Parameters of `f(x) = sum_i weights[i] * exp(-sum_j gamma[j] (x[j] - points[i, j])^2) -
/// offsets`.
///
/// Kernel PCA and the one-vs-one SVM both have this form, so both are stored and computed in the
/// same way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameters<F> {
    /// Shape: points x features.
    pub(crate) points: Array2<F>,
    /// One for all features, or one per feature: the inverse square of a length in the feature's
    /// unit.
    pub(crate) gamma: Array1<F>,
    /// Shape: points x outputs.
    pub(crate) weights: Array2<F>,
    /// One per output.
    pub(crate) offsets: Array1<F>,
}

impl Parameters<f64> {
    /// Converts to another precision.
    pub(crate) fn to<F: Precision>(&self) -> Parameters<F> {
        Parameters {
            points: self.points.mapv(F::rounded),
            gamma: self.gamma.mapv(F::rounded),
            weights: self.weights.mapv(F::rounded),
            offsets: self.offsets.mapv(F::rounded),
        }
    }
}

/// [`Parameters`], prepared for prediction.
pub(crate) struct KernelSum<F: Precision> {
    kernel: Kernel<F>,
    /// The weights of each block of points, laid out by output.
    weights: Vec<F::Rows>,
    offsets: Array1<F>,
}

impl<F: Precision> KernelSum<F> {
    /// Prepares the parameters for the threads of the current pool, as [`Kernel::new`].
    pub(crate) fn new(parameters: Parameters<F>) -> KernelSum<F> {
        let kernel = Kernel::new(parameters.points, &parameters.gamma);
        let weights = parameters.weights.axis_chunks_iter(Axis(0), kernel.block);
        KernelSum {
            weights: weights.map(|weights| F::lay_out(weights.t())).collect(),
            kernel,
            offsets: parameters.offsets,
        }
    }

    /// Returns the number of features of one input.
    pub(crate) fn width(&self) -> usize {
        self.kernel.origin.len()
    }

    /// Returns one row of outputs per row of `inputs` (inputs x features). The outputs are NaN if
    /// the row has a NaN or an infinity, or its squares overflow.
    pub(crate) fn apply(&self, inputs: Array2<F>) -> Array2<F> {
        let weighted = |block: usize, rows| F::products(&rows, &self.weights[block]);
        let sums = self.kernel.parts(inputs, weighted).into_iter();
        let sum = sums.reduce(|sum, part| sum + part);
        sum.expect("there is at least one point") - &self.offsets
    }
}

/// The kernel `k(x, p) = exp(-sum_j gamma[j] (x[j] - p[j])^2)` against fixed points.
///
/// Points and inputs are moved so that the points' mean is zero, and scaled so that gamma is 1.
/// Then `|x - p|^2 = |x|^2 + |p|^2 - 2xp` is a matrix product, which keeps its precision for points
/// far from zero.
pub(crate) struct Kernel<F: Precision> {
    /// Mean of the points before they were moved.
    origin: Array1<F>,
    /// Root of the gamma of each feature.
    scale: Array1<F>,
    blocks: Vec<PointBlock<F>>,
    /// Number of points in a block; the last block may have fewer.
    block: usize,
}

/// A block of moved and scaled points.
struct PointBlock<F: Precision> {
    points: F::Rows,
    /// `|p|^2` of each point.
    norms: Array1<F>,
}

impl<F: Precision> Kernel<F> {
    /// Prepares the kernel against `points` (points x features, at least one point), with one gamma
    /// for all features or one per feature.
    ///
    /// The number of blocks is a multiple of the number of threads of the current pool.
    pub(crate) fn new(points: Array2<F>, gamma: &Array1<F>) -> Kernel<F> {
        let (count, width) = points.dim();
        let scale = gamma.broadcast(width);
        let scale = scale.expect("one gamma, or one per feature");
        let blocks = count.div_ceil(BLOCK);
        let blocks = blocks.next_multiple_of(rayon::current_num_threads());
        let mut kernel = Kernel {
            origin: points.mean_axis(Axis(0)).expect("at least one point"),
            scale: scale.mapv(F::sqrt),
            blocks: Vec::new(),
            block: count.div_ceil(blocks),
        };
        let (points, norms) = kernel.normalise(points);
        let chunks = points.axis_chunks_iter(Axis(0), kernel.block);
        let blocks = chunks.zip(norms.chunks(kernel.block));
        let blocks = blocks.map(|(points, norms)| PointBlock {
            points: F::lay_out(points),
            norms: norms.to_vec().into(),
        });
        kernel.blocks = blocks.collect();
        kernel
    }

    /// Returns the kernel of every input against every point (inputs x points). The row of an input
    /// is NaN if it has a NaN or an infinity, or its squares overflow.
    #[cfg(feature = "train")]
    pub(crate) fn rows(&self, inputs: Array2<F>) -> Array2<F> {
        let parts = self.parts(inputs, |_, rows| rows);
        let parts: Vec<_> = parts.iter().map(Array2::view).collect();
        ndarray::concatenate(Axis(1), &parts).expect("all parts have the same rows")
    }

    /// Calls `finish` with the number of each block and its part of the kernel, while the part is
    /// in the core's cache, and returns the results.
    fn parts<T: Send>(
        &self,
        inputs: Array2<F>,
        finish: impl Fn(usize, Array2<F>) -> T + Sync,
    ) -> Vec<T> {
        let (inputs, norms) = self.normalise(inputs);
        let blocks = self.blocks.par_iter().enumerate();
        let blocks = blocks.with_min_len(min_items(inputs.len() * self.block));
        let parts = blocks.map(|(number, block)| finish(number, block.rows(&inputs, &norms)));
        parts.collect()
    }

    /// Moves and scales `rows`, and returns them with their squared norms; NaN instead of infinity.
    fn normalise(&self, mut rows: Array2<F>) -> (Array2<F>, Vec<F>) {
        let width = rows.ncols();
        let each = rows.axis_iter_mut(Axis(0)).into_par_iter();
        let norms = each.with_min_len(min_items(width)).map(|mut row| {
            row -= &self.origin;
            row *= &self.scale;
            let square = row.dot(&row);
            if square.is_finite() { square } else { F::nan() }
        });
        let norms = norms.collect();
        (rows, norms)
    }
}

impl<F: Precision> PointBlock<F> {
    /// Returns the kernel of moved and scaled inputs, given their squared norms, against these
    /// points.
    fn rows(&self, inputs: &Array2<F>, input_norms: &[F]) -> Array2<F> {
        let mut rows = F::products(inputs, &self.points);
        for (mut row, &input_norm) in rows.rows_mut().into_iter().zip(input_norms) {
            row.zip_mut_with(&self.norms, |value, &norm| {
                let exponent = *value + *value - input_norm - norm;
                // Rounding may make a distance of zero slightly negative. NaN is kept.
                let is_above = exponent > F::zero();
                *value = if is_above { F::zero() } else { exponent };
            });
        }
        F::exponentials(&mut rows);
        rows
    }
}

/// Returns the smallest number of items per thread, each of `multiplications`.
fn min_items(multiplications: usize) -> usize {
    MIN_PER_THREAD.div_ceil(multiplications.max(1))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Returns points near (1000, 1000, ...), whose squares exceed `f32`'s precision for distances.
    fn far_points(count: usize, width: usize) -> Array2<f32> {
        Array2::from_shape_fn((count, width), |(row, column)| {
            1000.0 + ((row * width + column) as f32).sin()
        })
    }

    #[test]
    fn kernels_of_points_far_from_zero_keep_their_precision() {
        let points = far_points(7, 3);
        for gamma in [array![0.5, 0.5, 0.5], array![0.1, 2.0, 0.5]] {
            let kernel = Kernel::new(points.clone(), &gamma);
            for inputs in [
                points.clone(),
                points.slice(ndarray::s![2..3, ..]).to_owned(),
            ] {
                let rows = kernel.rows(inputs.clone());
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
    fn rows_do_not_depend_on_the_number_of_threads() {
        let points = far_points(1000, 1200);
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let alone = pool(1).unwrap();
        for inputs in [1, 5, 1000] {
            let inputs = points.slice(ndarray::s![..inputs, ..]);
            let rows = || Kernel::new(points.clone(), &array![0.0015]).rows(inputs.to_owned());
            let expected = alone.install(rows);
            assert!(expected.iter().all(|value| value.is_finite()));
            for threads in [2, 3, 7] {
                let rows = pool(threads).unwrap().install(rows);
                let differences = &rows - &expected;
                let worst = differences.fold(0.0_f32, |worst, d| worst.max(d.abs()));
                assert!(worst < 1e-5, "{threads} threads: {worst}");
            }
        }
    }

    #[test]
    fn only_rows_of_invalid_inputs_become_nan() {
        let points = far_points(3, 2);
        let kernel = Kernel::new(points, &array![0.5]);
        let inputs = array![
            [1000.0, 1000.0],
            [f32::NAN, 0.0],
            [f32::INFINITY, 0.0],
            [1e30, 0.0]
        ];
        let rows = kernel.rows(inputs);
        assert!(rows.row(0).iter().all(|value| value.is_finite()));
        assert!(
            rows.slice(ndarray::s![1.., ..])
                .iter()
                .all(|value| value.is_nan())
        );
    }
}
