//! Kernel principal component analysis (Schölkopf, Smola and Müller, 1998) with the RBF kernel.

use linfa_linalg::eigh::{EigSort, EighInto};
use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::{
    Error,
    kernel::{Kernel, Parameters},
};

/// Eigenvalues below this share of the largest are noise of the decomposition.
const SMALLEST_EIGENVALUE: f64 = 1e-12;

/// The projection onto the first `components` principal components of `points` (points x features) in feature
/// space, or onto as many as there are.
///
/// As scikit-learn's `KernelPCA` up to the sign of each component: the kernel is centred in feature space, for the
/// training points and for new ones, and eigenvectors `v` are scaled by `1 / sqrt(eigenvalue)`.
///
/// With `H = I - 1/m`, a new point's centred kernel row is `(k - means) H`. An eigenvector of `H K H` has `H v = v`,
/// so the projection is `k v - means v`: weights and offsets.
pub(crate) fn fit(
    points: ArrayView2<f64>,
    gamma: f64,
    components: usize,
) -> Result<Parameters<f64>, Error> {
    let kernel = Kernel::new(points.to_owned(), gamma).rows(points, 1);
    let means = column_means(&kernel);
    let (eigenvalues, eigenvectors) = centred(kernel)
        .eigh_into()
        .map_err(|error| Error::Training(format!("kernel PCA: {error}")))?
        .sort_eig_desc();
    let smallest = eigenvalues[0] * SMALLEST_EIGENVALUE;
    let kept = eigenvalues
        .iter()
        .take(components)
        .take_while(|&&value| value > smallest && value > 0.0)
        .count();
    if kept == 0 {
        let reason = "kernel PCA finds no component: the training points are all the same";
        return Err(Error::Training(reason.into()));
    }
    let mut weights = eigenvectors.slice(s![.., ..kept]).to_owned();
    weights /= &eigenvalues.slice(s![..kept]).mapv(f64::sqrt);
    Ok(Parameters {
        points: points.to_owned(),
        gamma,
        offsets: means.dot(&weights),
        weights,
    })
}

/// `H K H`: the kernel of the points less their mean in feature space.
fn centred(kernel: Array2<f64>) -> Array2<f64> {
    let means = column_means(&kernel);
    let mean = means.mean().unwrap_or_default();
    kernel - &means - means.view().insert_axis(Axis(1)) + mean
}

fn column_means(matrix: &Array2<f64>) -> Array1<f64> {
    matrix.mean_axis(Axis(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{kernel::KernelSum, reference::Reference};

    fn assert_equal_up_to_sign(ours: &Array2<f64>, theirs: &Array2<f64>, tolerance: f64) {
        assert_eq!(ours.dim(), theirs.dim());
        for (ours, theirs) in ours.columns().into_iter().zip(theirs.columns()) {
            let sign = ours.dot(&theirs).signum();
            for (a, b) in ours.iter().zip(theirs) {
                assert!((a * sign - b).abs() < tolerance, "{a} is not +-{b}");
            }
        }
    }

    #[test]
    fn projections_are_scikit_learns_to_1e_6_in_double_precision() {
        let reference = Reference::load();
        let (train, new) = (reference.train_points(), reference.new_points());
        let parameters = fit(train.view(), reference.pca_gamma, reference.components).unwrap();
        let pca = KernelSum::new(parameters);
        let projected = pca.apply(train.view(), 1);
        assert_equal_up_to_sign(&projected, &reference.train_projections(), 1e-6);
        let projected = pca.apply(new.view(), 1);
        assert_equal_up_to_sign(&projected, &reference.new_projections(), 1e-6);
    }

    #[test]
    fn projections_are_scikit_learns_to_1e_3_in_the_precision_that_is_served() {
        let reference = Reference::load();
        let train = reference.train_points();
        let parameters = fit(train.view(), reference.pca_gamma, reference.components).unwrap();
        let pca = KernelSum::new(parameters.to_f32());
        let new = reference.new_points().mapv(|value| value as f32);
        let projected = pca.apply(new.view(), 2).mapv(f64::from);
        assert_equal_up_to_sign(&projected, &reference.new_projections(), 1e-3);
    }

    #[test]
    fn no_more_components_are_kept_than_the_points_span() {
        let points = ndarray::array![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
        let parameters = fit(points.view(), 1.0, 10).unwrap();
        assert_eq!(parameters.weights.dim(), (3, 2));
        let same = Array2::zeros((3, 2));
        let error = fit(same.view(), 1.0, 2).unwrap_err();
        assert!(error.to_string().contains("all the same"), "{error}");
    }
}
