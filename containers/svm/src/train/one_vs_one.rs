//! One binary C-SVM for each pair of classes, by linfa-svm.

use linfa::{Dataset, traits::Fit};
use linfa_svm::Svm;
use ndarray::{Array1, Array2, ArrayView2, Axis, array};

use crate::{Error, kernel::Parameters, svc::pairs};

/// Smaller coefficients count as zero, as in linfa-svm's predictions.
const SMALLEST_COEFFICIENT: f64 = 100.0 * f64::EPSILON;

/// Labelled points for training.
pub(crate) struct LabelledPoints<'a> {
    /// Shape: points x features.
    pub(crate) points: ArrayView2<'a, f64>,
    /// The class of each point, below `classes`.
    pub(crate) labels: &'a [usize],
    /// Number of classes.
    pub(crate) classes: usize,
}

/// Fits the decision functions of all [`pairs`] of classes, over shared support vectors.
pub(crate) fn fit(examples: &LabelledPoints, gamma: f64, c: f64) -> Result<Parameters<f64>, Error> {
    let pairs: Vec<_> = pairs(examples.classes).collect();
    let mut weights = Array2::zeros((examples.points.nrows(), pairs.len()));
    let mut offsets = Array1::zeros(pairs.len());
    for (column, &(a, b)) in pairs.iter().enumerate() {
        let (members, svm) = fit_pair(examples, a, b, gamma, c)?;
        offsets[column] = svm.rho;
        for (&member, &alpha) in members.iter().zip(&svm.alpha) {
            if alpha.abs() > SMALLEST_COEFFICIENT {
                weights[[member, column]] = alpha;
            }
        }
    }
    let is_support = |&row: &usize| weights.row(row).iter().any(|&weight| weight != 0.0);
    let support: Vec<_> = (0..weights.nrows()).filter(is_support).collect();
    Ok(Parameters {
        points: examples.points.select(Axis(0), &support),
        gamma: array![gamma],
        weights: weights.select(Axis(0), &support),
        offsets,
    })
}

/// Fits the binary SVM of class `a` (positive) against `b`; also returns the rows of its points.
fn fit_pair(
    examples: &LabelledPoints,
    a: usize,
    b: usize,
    gamma: f64,
    c: f64,
) -> Result<(Vec<usize>, Svm<f64, bool>), Error> {
    let labels = examples.labels;
    let members: Vec<_> = (0..labels.len())
        .filter(|&row| labels[row] == a || labels[row] == b)
        .collect();
    let targets: Array1<bool> = members.iter().map(|&row| labels[row] == a).collect();
    let dataset = Dataset::new(examples.points.select(Axis(0), &members), targets);
    let svm = Svm::<f64, bool>::params()
        .pos_neg_weights(c, c)
        .gaussian_kernel(1.0 / gamma) // linfa divides the squared distance by this
        .fit(&dataset)
        .map_err(|error| Error::training(format!("SVM of classes {a} and {b}: {error}")))?;
    Ok((members, svm))
}

#[cfg(test)]
mod tests {
    use linfa::traits::Predict;
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::{
        kernel::KernelSum,
        svc::{vote, winner},
    };

    /// Returns points of three overlapping classes, and their labels.
    fn overlapping(count: usize, seed: u64) -> (Array2<f64>, Vec<usize>) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let labels: Vec<_> = (0..count).map(|row| row % 3).collect();
        let points = Array2::from_shape_fn((count, 4), |(row, feature)| {
            let shift = if labels[row] == feature { 0.6 } else { 0.0 };
            shift + random.random_range(-1.0..1.0)
        });
        (points, labels)
    }

    #[test]
    fn votes_equal_linfas_own_predictions() {
        let (points, labels) = overlapping(120, 1);
        let examples = LabelledPoints {
            points: points.view(),
            labels: &labels,
            classes: 3,
        };
        let parameters = fit(&examples, 0.7, 2.0).unwrap();
        let decide = KernelSum::new(parameters.to::<f32>());
        let models: Vec<_> = pairs(3)
            .map(|(a, b)| fit_pair(&examples, a, b, 0.7, 2.0).unwrap().1)
            .collect();

        let (new, _) = overlapping(600, 2);
        let served = new.mapv(|value| value as f32);
        let decisions = decide.apply(served);
        let mut seen = [0; 3];
        for (point, decisions) in new.rows().into_iter().zip(decisions.rows()) {
            let linfa = winner(models.iter().map(|model| model.predict(point)), 3);
            assert_eq!(vote(decisions, 3), linfa);
            seen[linfa] += 1;
        }
        assert!(seen.iter().all(|&count| count > 50), "{seen:?}");
    }
}
