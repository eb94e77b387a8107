//! Kernel principal component analysis (Schölkopf, Smola and Müller, 1998) with the RBF kernel.

use linfa_linalg::eigh::{EigSort, EighInto};
use ndarray::{Array1, Array2, ArrayView2, Axis, array, s};

use crate::{
    Error,
    kernel::{Kernel, Parameters},
};

/// Eigenvalues below this share of the largest one are numerical noise.
const SMALLEST_EIGENVALUE: f64 = 1e-12;

/// Fits the projection onto the first `components` principal components of `points` (points x
/// features) in feature space, or onto all if there are fewer.
///
/// Equals scikit-learn's `KernelPCA` up to the sign of each component: the kernel is centred in
/// feature space, for training points and new ones, and eigenvectors `v` are scaled by `1 /
/// sqrt(eigenvalue)`.
///
/// With `H = I - 1/m`, a new point's centred kernel row is `(k - means) H`. An eigenvector of `H K
/// H` has `H v = v`, so the projection is `k v - means v`: weights and offsets.
pub(crate) fn fit(
    points: ArrayView2<f64>,
    gamma: f64,
    components: usize,
) -> Result<Parameters<f64>, Error> {
    let gamma = array![gamma];
    let kernel = Kernel::new(points.to_owned(), &gamma).rows(points.to_owned());
    let means = column_means(&kernel);
    let (eigenvalues, eigenvectors) = centred(kernel)
        .eigh_into()
        .map_err(|error| Error::training(format!("kernel PCA: {error}")))?
        .sort_eig_desc();
    let smallest = eigenvalues[0] * SMALLEST_EIGENVALUE;
    let kept = eigenvalues
        .iter()
        .take(components)
        .take_while(|&&value| value > smallest && value > 0.0)
        .count();
    if kept == 0 {
        let reason = "kernel PCA finds no component: the training points are all the same";
        return Err(Error::training(reason.into()));
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

/// Returns `H K H`: the kernel of the points centred in feature space.
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
    use crate::{kernel::KernelSum, reference::SklearnReference};

    fn fit_reference(reference: &SklearnReference) -> Parameters<f64> {
        let components = reference.projections("new_projections").ncols();
        let points = reference.points("train");
        fit(points.view(), reference.number("gamma"), components).unwrap()
    }

    /// Returns the largest difference relative to the largest of `theirs`, up to each component's
    /// sign.
    fn error(ours: &Array2<f64>, theirs: &Array2<f64>) -> f64 {
        assert_eq!(ours.ncols(), theirs.ncols());
        assert!(ours.iter().all(|value| value.is_finite()));
        let mut worst = 0.0_f64;
        for (ours, theirs) in ours.columns().into_iter().zip(theirs.columns()) {
            let ours = ours.slice(s![..theirs.len()]);
            let sign = ours.dot(&theirs).signum();
            let differences = ours.iter().zip(theirs).map(|(a, b)| (a * sign - b).abs());
            worst = differences.fold(worst, f64::max);
        }
        worst / theirs.iter().fold(0.0, |largest, b| b.abs().max(largest))
    }

    #[test]
    fn float64_projections_match_scikit_learn_to_1e_6() {
        let reference = SklearnReference::load();
        let pca = KernelSum::new(fit_reference(&reference));
        for (points, expected) in [("train", "train_projections"), ("new", "new_projections")] {
            let projected = pca.apply(reference.points(points));
            let error = error(&projected, &reference.projections(expected));
            assert!(error < 1e-6, "{points}: {error:e}");
        }
    }

    #[test]
    fn float32_projections_match_scikit_learn_to_1e_3() {
        let reference = SklearnReference::load();
        let pca = KernelSum::new(fit_reference(&reference).to::<f32>());
        for (points, expected) in [("train", "train_projections"), ("new", "new_projections")] {
            let points = reference.points(points).mapv(|value| value as f32);
            let projected = pca.apply(points).mapv(f64::from);
            let error = error(&projected, &reference.projections(expected));
            assert!(error < 1e-3, "{expected}: {error:e}");
        }
    }

    #[test]
    fn keeps_at_most_the_components_that_the_points_span() {
        let points = ndarray::array![[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
        let parameters = fit(points.view(), 1.0, 10).unwrap();
        assert_eq!(parameters.weights.dim(), (3, 2));
        let same = Array2::zeros((3, 2));
        let error = fit(same.view(), 1.0, 2).unwrap_err();
        assert!(error.to_string().contains("all the same"), "{error}");
    }
}
