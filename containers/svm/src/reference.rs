//! Results of scikit-learn, computed by `tests/reference.py`.

use ndarray::Array2;
use safetensors::{Dtype, SafeTensors};

/// Number of classes of the problem.
pub(crate) const CLASSES: usize = 5;

/// Examples, parameters and results of scikit-learn.
pub(crate) struct SklearnReference(SafeTensors<'static>);

impl SklearnReference {
    pub(crate) fn load() -> SklearnReference {
        let bytes = include_bytes!("../tests/reference.safetensors");
        SklearnReference(SafeTensors::deserialize(bytes).unwrap())
    }

    /// Returns points (points x features), stored as one byte per value.
    pub(crate) fn points(&self, name: &str) -> Array2<f64> {
        let bytes = self.bytes(name);
        let (shape, values) = (self.shape(name), bytes.iter().copied().map(f64::from));
        let values = values.map(|byte| 500.0 + byte / 8.0).collect();
        Array2::from_shape_vec(shape, values).unwrap()
    }

    /// Returns the class of each point.
    pub(crate) fn labels(&self, name: &str) -> Vec<usize> {
        self.bytes(name).iter().copied().map(usize::from).collect()
    }

    /// Returns the projections (points x components) of the first points.
    pub(crate) fn projections(&self, name: &str) -> Array2<f64> {
        Array2::from_shape_vec(self.shape(name), self.numbers(name)).unwrap()
    }

    /// Returns a single number.
    pub(crate) fn number(&self, name: &str) -> f64 {
        self.numbers(name)[0]
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        let array = self.0.tensor(name).unwrap();
        assert_eq!(array.dtype(), Dtype::F64);
        let values = array.data().as_chunks().0.iter();
        values.map(|raw| f64::from_le_bytes(*raw)).collect()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let array = self.0.tensor(name).unwrap();
        assert_eq!(array.dtype(), Dtype::U8);
        array.data().to_owned()
    }

    fn shape(&self, name: &str) -> (usize, usize) {
        let array = self.0.tensor(name).unwrap();
        (array.shape()[0], array.shape()[1])
    }
}

/// Returns the share of points on which two labellings agree.
pub(crate) fn agreement<T: PartialEq>(ours: &[T], theirs: &[T]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let equal = ours.iter().zip(theirs).filter(|(a, b)| a == b);
    equal.count() as f64 / ours.len() as f64
}
