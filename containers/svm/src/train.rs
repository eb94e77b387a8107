//! Training: kernel PCA of the features, then SVMs on its projections.

mod kernel_pca;
mod one_vs_one;

use std::path::Path;

use ndarray::{ArrayView2, Axis};

use crate::{Error, artifact::Contents, kernel::KernelSum};
use one_vs_one::LabelledPoints;

/// Hyperparameters of training.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Gamma of the kernel PCA. The default is one over the sum of the features' variances, for
    /// which `gamma |x - y|^2` is 2 on average.
    pub gamma: Option<f64>,
    /// Number of principal components to keep.
    pub components: usize,
    /// Gamma of the SVMs. The default follows the same rule, on the projections.
    pub svm_gamma: Option<f64>,
    /// Penalty of the SVMs for a point on the wrong side.
    pub c: f64,
}

impl Default for Training {
    fn default() -> Training {
        Training {
            gamma: None,
            components: 64,
            svm_gamma: None,
            c: 10.0,
        }
    }
}

/// A trained classifier that can be saved.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained(pub(crate) Contents);

impl Trained {
    /// Writes the artifact, a `.safetensors` file, in float32.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        Ok(self.0.save(path)?)
    }
}

/// Trains a classifier.
///
/// `features` is points x features; `labels` holds the class of each point, an index into `names`.
/// Each class needs a point.
///
/// # Errors
/// If the examples are inconsistent, or training fails.
pub fn train(
    features: ArrayView2<f32>,
    labels: &[usize],
    names: &[String],
    training: &Training,
) -> Result<Trained, Error> {
    check(features, labels, names, training).map_err(Error::training)?;
    let features = features.mapv(f64::from);
    let gamma = training.gamma.unwrap_or_else(|| scale(features.view()));
    let pca = kernel_pca::fit(features.view(), gamma, training.components)?;
    let projections = KernelSum::new(pca.clone()).apply(features);
    let examples = LabelledPoints {
        points: projections.view(),
        labels,
        classes: names.len(),
    };
    let gamma = training
        .svm_gamma
        .unwrap_or_else(|| scale(projections.view()));
    let svm = one_vs_one::fit(&examples, gamma, training.c)?;
    Ok(Trained(Contents {
        pca,
        svm,
        labels: names.to_vec(),
    }))
}

fn check(
    features: ArrayView2<f32>,
    labels: &[usize],
    names: &[String],
    training: &Training,
) -> Result<(), String> {
    if features.nrows() != labels.len() {
        let (points, labels) = (features.nrows(), labels.len());
        return Err(format!("{points} points have {labels} labels"));
    }
    if names.len() < 2 {
        return Err(format!("{} classes: at least two are needed", names.len()));
    }
    if let Some(label) = labels.iter().find(|&&label| label >= names.len()) {
        return Err(format!(
            "label {label} is not below {}, the number of classes",
            names.len()
        ));
    }
    if let Some(class) = (0..names.len()).find(|class| !labels.contains(class)) {
        return Err(format!("class {} has no point", names[class]));
    }
    if !features.iter().all(|value| value.is_finite()) {
        return Err("a feature is NaN or infinite".into());
    }
    let gammas = [training.gamma, training.svm_gamma];
    let numbers = gammas.into_iter().flatten().chain([training.c]);
    for number in numbers {
        if !(number.is_finite() && number > 0.0) {
            return Err(format!("gamma and C must be above 0, one is {number}"));
        }
    }
    Ok(())
}

/// Returns one over the total variance; 1 if it is zero.
fn scale(points: ArrayView2<f64>) -> f64 {
    let variance = points.var_axis(Axis(0), 0.0).sum();
    if variance > 0.0 { 1.0 / variance } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{CLASSES, SklearnReference, agreement};
    use crate::svc;

    #[test]
    fn trained_classifiers_label_new_points_as_scikit_learn() {
        let reference = SklearnReference::load();
        let features = reference.points("train").mapv(|value| value as f32);
        let training = Training {
            components: reference.projections("new_projections").ncols(),
            c: reference.number("c"),
            ..Training::default()
        };
        let names: Vec<_> = (0..CLASSES).map(|class| class.to_string()).collect();
        let labels = reference.labels("train_labels");
        let trained = train(features.view(), &labels, &names, &training).unwrap();

        let new = reference.points("new").mapv(|value| value as f32);
        let projections = KernelSum::new(trained.0.pca.to::<f32>()).apply(new);
        let decisions = KernelSum::new(trained.0.svm.to::<f32>()).apply(projections);
        let rows = decisions.rows().into_iter();
        let ours: Vec<_> = rows.map(|row| svc::vote(row, CLASSES)).collect();

        let theirs = reference.labels("new_labels");
        let agree = agreement(&ours, &theirs);
        assert!(agree >= 0.99, "{agree}");
        let truth = reference.labels("new_truth");
        let (ours, theirs) = (agreement(&ours, &truth), agreement(&theirs, &truth));
        assert!((ours - theirs).abs() <= 0.01, "right: {ours}, {theirs}");
    }
}
