//! Sums of RBF kernels, for a whole batch by matrix product.

use std::thread;

use linfa::Float;
use ndarray::{
    Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis,
    linalg::{general_mat_mul, general_mat_vec_mul},
};

/// What defines `f(x) = sum_i weights[i] * exp(-gamma |x - points[i]|^2) - offsets`.
///
/// Kernel PCA and the one-vs-one SVM are both of this form, so both are stored, and computed, as one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameters<F> {
    /// Points x features.
    pub(crate) points: Array2<F>,
    /// One over the square of a length, in units of the features.
    pub(crate) gamma: F,
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
            gamma: self.gamma as f32,
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
            kernel: Kernel::new(parameters.points, parameters.gamma),
            weights: parameters.weights,
            offsets: parameters.offsets,
        }
    }

    /// Features of one input.
    pub(crate) fn width(&self) -> usize {
        self.kernel.points.ncols()
    }

    /// One row of outputs per row of `inputs` (inputs x features).
    pub(crate) fn apply(&self, inputs: ArrayView2<F>, threads: usize) -> Array2<F> {
        self.kernel.rows(inputs, threads).dot(&self.weights) - &self.offsets
    }
}

/// `k(x, p) = exp(-gamma |x - p|^2)` against fixed points.
pub(crate) struct Kernel<F> {
    /// The mean of the points. It is taken off points and inputs, which changes no distance: without it
    /// `|x|^2 + |p|^2 - 2xp` would lose the digits of a cloud that lies far from zero.
    origin: Array1<F>,
    points: Array2<F>,
    norms: Array1<F>,
    gamma: F,
}

impl<F: Float> Kernel<F> {
    pub(crate) fn new(mut points: Array2<F>, gamma: F) -> Kernel<F> {
        let origin = points
            .mean_axis(Axis(0))
            .unwrap_or_else(|| Array1::zeros(points.ncols()));
        points -= &origin;
        let norms = squared_norms(points.view());
        Kernel {
            origin,
            points,
            norms,
            gamma,
        }
    }

    /// The kernel of every input against every point (inputs x points), on at most `threads` threads.
    pub(crate) fn rows(&self, inputs: ArrayView2<F>, threads: usize) -> Array2<F> {
        let inputs = &inputs - &self.origin;
        let input_norms = squared_norms(inputs.view());
        let mut rows = Array2::zeros((inputs.nrows(), self.points.nrows()));
        let chunk = self.points.nrows().div_ceil(threads.max(1)).max(1);
        let chunks = rows
            .axis_chunks_iter_mut(Axis(1), chunk)
            .zip(self.points.axis_chunks_iter(Axis(0), chunk))
            .zip(self.norms.axis_chunks_iter(Axis(0), chunk));
        thread::scope(|scope| {
            let mut own = None;
            for ((rows, points), norms) in chunks {
                let (inputs, input_norms) = (inputs.view(), input_norms.view());
                let work = move || self.fill(rows, (inputs, input_norms), (points, norms));
                // The first part is for this thread.
                match own {
                    None => own = Some(work),
                    Some(_) => drop(scope.spawn(work)),
                }
            }
            if let Some(work) = own {
                work();
            }
        });
        rows
    }

    /// The part of the rows that belongs to `points`; both sides come with their squared norms.
    fn fill(
        &self,
        mut rows: ArrayViewMut2<F>,
        (inputs, input_norms): (ArrayView2<F>, ArrayView1<F>),
        (points, norms): (ArrayView2<F>, ArrayView1<F>),
    ) {
        if inputs.nrows() == 1 {
            // The matrix product would pack all points first, which takes longer than the product.
            let mut row = rows.row_mut(0);
            general_mat_vec_mul(F::one(), &points, &inputs.row(0), F::zero(), &mut row);
        } else {
            general_mat_mul(F::one(), &inputs, &points.t(), F::zero(), &mut rows);
        }
        for (mut row, &input_norm) in rows.rows_mut().into_iter().zip(&input_norms) {
            row.zip_mut_with(&norms, |value, &norm| {
                // Rounding may leave a distance of zero a little below zero.
                let distance = (input_norm + norm - *value - *value).max(F::zero());
                *value = (-self.gamma * distance).exp();
            });
        }
    }
}

/// `|x|^2` of every row.
fn squared_norms<F: Float>(rows: ArrayView2<F>) -> Array1<F> {
    rows.map_axis(Axis(1), |row| row.dot(&row))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seven points near (1000, 1000, 1000): squared they have no digit left for their distances in `f32`.
    fn far_points() -> Array2<f32> {
        Array2::from_shape_fn((7, 3), |(row, column)| {
            1000.0 + ((row * 3 + column) as f32).sin()
        })
    }

    #[test]
    fn kernels_of_points_far_from_zero_keep_their_digits() {
        let points = far_points();
        let kernel = Kernel::new(points.clone(), 0.5);
        for inputs in [points.view(), points.slice(ndarray::s![2..3, ..])] {
            let rows = kernel.rows(inputs, 1);
            for (x, row) in inputs.rows().into_iter().zip(rows.rows()) {
                for (p, &value) in points.rows().into_iter().zip(row) {
                    let squares = x.iter().zip(p).map(|(x, p)| (x - p) * (x - p));
                    let expected = (-0.5 * squares.sum::<f32>()).exp();
                    assert!((value - expected).abs() < 1e-5, "{value} is not {expected}");
                }
            }
        }
    }

    #[test]
    fn any_number_of_threads_gives_the_same_rows() {
        let points = far_points();
        let kernel = Kernel::new(points.clone(), 0.5);
        let alone = kernel.rows(points.view(), 1);
        for threads in [0, 2, 3, 7, 100] {
            let rows = kernel.rows(points.view(), threads);
            let difference = (&rows - &alone).mapv(f32::abs).sum();
            assert!(difference < 1e-5, "{threads} threads");
        }
    }
}
