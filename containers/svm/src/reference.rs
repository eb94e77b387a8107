//! What scikit-learn computed, by `tests/reference.py`.

use ndarray::{Array2, ArrayView2};

/// Examples, parameters and results.
#[derive(serde::Deserialize)]
pub(crate) struct Reference {
    pub(crate) features: usize,
    pub(crate) classes: usize,
    pub(crate) components: usize,
    pub(crate) pca_gamma: f64,
    pub(crate) svm_gamma: f64,
    pub(crate) c: f64,
    train: Vec<f64>,
    pub(crate) train_labels: Vec<usize>,
    new: Vec<f64>,
    train_projections: Vec<f64>,
    new_projections: Vec<f64>,
    pub(crate) new_labels: Vec<usize>,
}

impl Reference {
    pub(crate) fn load() -> Reference {
        serde_json::from_str(include_str!("../tests/reference.json")).unwrap()
    }

    pub(crate) fn train_points(&self) -> ArrayView2<'_, f64> {
        rows(&self.train, self.features)
    }

    pub(crate) fn new_points(&self) -> ArrayView2<'_, f64> {
        rows(&self.new, self.features)
    }

    pub(crate) fn train_projections(&self) -> Array2<f64> {
        rows(&self.train_projections, self.components).to_owned()
    }

    pub(crate) fn new_projections(&self) -> Array2<f64> {
        rows(&self.new_projections, self.components).to_owned()
    }
}

fn rows(values: &[f64], width: usize) -> ArrayView2<'_, f64> {
    ArrayView2::from_shape((values.len() / width, width), values).unwrap()
}
