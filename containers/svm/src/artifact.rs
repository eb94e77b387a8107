//! The artifact: a `.safetensors` file with float32 or float64 arrays, and the labels as a JSON
//! list in its metadata.
//!
//! | array                        | shape                       |
//! |------------------------------|-----------------------------|
//! | `pca.points`                 | training points x features  |
//! | `pca.weights`, `pca.offsets` | x components                |
//! | `svm.points`                 | support vectors x components|
//! | `svm.weights`, `svm.offsets` | x pairs of classes          |
//! | `pca.gamma`, `svm.gamma`     | 1, or one per feature       |

use std::{fs, path::Path};

use model::ClassifierError;
use ndarray::{Array1, Array2};
use safetensors::{Dtype, SafeTensors};

use crate::{kernel::Parameters, svc};

/// Name of the artifact's format in messages.
const FORMAT: &str = "svm artifact";
/// Key of the labels in the file's metadata.
const LABELS: &str = "labels";

/// Contents of an artifact: the parameters of both stages, converted to float64, and one label per
/// class.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Contents {
    pub(crate) pca: Parameters<f64>,
    pub(crate) svm: Parameters<f64>,
    pub(crate) labels: Vec<String>,
}

impl Contents {
    /// Reads the file at `path` and checks that its arrays are consistent.
    pub(crate) fn load(path: &Path) -> Result<Contents, ClassifierError> {
        let bytes = fs::read(path);
        let bytes = bytes.map_err(|error| ClassifierError::of_reading(path, FORMAT, error))?;
        Contents::decode(&bytes).map_err(|problem| ClassifierError::Artifact {
            path: path.to_owned(),
            format: FORMAT,
            problem,
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Contents, String> {
        let unreadable = |error| format!("it is not a safetensors file ({error})");
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let labels = metadata.metadata().as_ref().and_then(|map| map.get(LABELS));
        let labels: Vec<String> = labels
            .and_then(|json| serde_json::from_str(json).ok())
            .ok_or("its metadata has no JSON list of labels")?;
        if labels.len() < 2 {
            return Err(format!(
                "it has {} labels, at least 2 are needed",
                labels.len()
            ));
        }
        let arrays = Arrays(SafeTensors::deserialize(bytes).map_err(unreadable)?);
        let pca = arrays.parameters("pca", None, None)?;
        let pairs = svc::pairs(labels.len()).count();
        let svm = arrays.parameters("svm", Some(pca.offsets.len()), Some(pairs))?;
        Ok(Contents { pca, svm, labels })
    }
}

#[cfg(feature = "train")]
impl Contents {
    /// Writes the artifact to `path` in float32.
    pub(crate) fn save(&self, path: &Path) -> Result<(), ClassifierError> {
        fs::write(path, self.encode(Dtype::F32))
            .map_err(|error| ClassifierError::Io(path.to_owned(), error))
    }

    /// Encodes the artifact in float32 or float64, as given by `dtype`.
    pub(crate) fn encode(&self, dtype: Dtype) -> Vec<u8> {
        let mut arrays: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (stage, part) in [("pca", &self.pca), ("svm", &self.svm)] {
            for (name, matrix) in [("points", &part.points), ("weights", &part.weights)] {
                let shape = matrix.shape().to_vec();
                arrays.push((
                    format!("{stage}.{name}"),
                    shape,
                    little_endian(matrix, dtype),
                ));
            }
            for (name, vector) in [("offsets", &part.offsets), ("gamma", &part.gamma)] {
                let shape = vec![vector.len()];
                arrays.push((
                    format!("{stage}.{name}"),
                    shape,
                    little_endian(vector, dtype),
                ));
            }
        }
        let views = arrays.iter().map(|(name, shape, bytes)| {
            let view = safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes);
            (name, view.expect("the bytes match the shape"))
        });
        let labels = serde_json::to_string(&self.labels).expect("a list of strings is JSON");
        let metadata = std::collections::HashMap::from([(LABELS.to_owned(), labels)]);
        safetensors::serialize(views, Some(metadata)).expect("the header is below its limit")
    }
}

/// The arrays of a file.
struct Arrays<'a>(SafeTensors<'a>);

impl Arrays<'_> {
    /// Reads one stage; `None` allows any number of features or outputs.
    fn parameters(
        &self,
        stage: &str,
        features: Option<usize>,
        outputs: Option<usize>,
    ) -> Result<Parameters<f64>, String> {
        let matrix = |name: &str, rows, columns| {
            let (shape, values) = self.get(&format!("{stage}.{name}"), &[rows, columns])?;
            Array2::from_shape_vec((shape[0], shape[1]), values).map_err(|error| error.to_string())
        };
        let vector = |name: &str, length| {
            let (_, values) = self.get(&format!("{stage}.{name}"), &[length])?;
            Ok::<_, String>(Array1::from(values))
        };
        let points = matrix("points", None, features)?;
        let weights = matrix("weights", Some(points.nrows()), outputs)?;
        let offsets = vector("offsets", Some(weights.ncols()))?;
        let gamma = vector("gamma", None)?;
        if gamma.len() != 1 && gamma.len() != points.ncols() {
            let (values, features) = (gamma.len(), points.ncols());
            return Err(format!(
                "its {stage}.gamma has {values} values, but must have 1 or one per feature ({features})"
            ));
        }
        if let Some(gamma) = gamma.iter().find(|&&gamma| gamma <= 0.0) {
            return Err(format!("its {stage}.gamma is {gamma}, but must be above 0"));
        }
        Ok(Parameters {
            points,
            gamma,
            weights,
            offsets,
        })
    }

    /// Returns shape and values of an array, which must be finite; `None` allows any length above
    /// 0.
    fn get(
        &self,
        name: &str,
        expected: &[Option<usize>],
    ) -> Result<(Vec<usize>, Vec<f64>), String> {
        let array = self
            .0
            .tensor(name)
            .map_err(|_| format!("the array {name} is missing"))?;
        let shape = array.shape();
        let fits = |(&length, &expected): (&usize, &Option<usize>)| {
            expected.map_or(length > 0, |expected| length == expected)
        };
        if shape.len() != expected.len() || !shape.iter().zip(expected).all(fits) {
            let expected: Vec<_> = expected
                .iter()
                .map(|length| length.map_or("any".into(), |length| length.to_string()))
                .collect();
            return Err(format!(
                "the array {name} has the shape {shape:?} instead of [{}]",
                expected.join(", ")
            ));
        }
        let (fours, eights) = (array.data().as_chunks().0, array.data().as_chunks().0);
        let values: Vec<f64> = match array.dtype() {
            Dtype::F32 => fours
                .iter()
                .map(|raw| f32::from_le_bytes(*raw).into())
                .collect(),
            Dtype::F64 => eights.iter().map(|raw| f64::from_le_bytes(*raw)).collect(),
            other => return Err(format!("the array {name} is {other}, not F32 or F64")),
        };
        if !values.iter().all(|value| value.is_finite()) {
            return Err(format!("the array {name} has values that are not finite"));
        }
        Ok((shape.to_vec(), values))
    }
}

#[cfg(feature = "train")]
fn little_endian<'a>(values: impl IntoIterator<Item = &'a f64>, dtype: Dtype) -> Vec<u8> {
    let values = values.into_iter();
    match dtype {
        Dtype::F64 => values.flat_map(|value| value.to_le_bytes()).collect(),
        _ => values
            .flat_map(|&value| (value as f32).to_le_bytes())
            .collect(),
    }
}
