//! A state dict: the weights of a network under the names that torchvision gives them.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, bail};
use half::{bf16, f16};
use onnx::Bytes;
use pytorch_reader::{DType, PytorchReader};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// Tensors by name.
#[derive(Default)]
pub(crate) struct StateDict(BTreeMap<String, Tensor>);

/// A tensor; its values may still be on disk.
pub(crate) struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    values: Values,
}

enum Values {
    Here(Bytes),
    InFile(pytorch_reader::Tensor),
}

impl StateDict {
    /// Reads a `.safetensors` file, or a file of `torch.save`. The values of the latter are read from the file when
    /// they are used. No code in it is executed.
    pub(crate) fn read(path: &Path) -> anyhow::Result<StateDict> {
        let is_safetensors = path.extension().is_some_and(|e| e == "safetensors");
        if is_safetensors {
            let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            from_safetensors(file.into())
                .with_context(|| format!("{} is not a safetensors file", path.display()))
        } else {
            from_torch(path).with_context(|| {
                format!(
                    "{} is not a state dict that torch.save wrote (a safetensors file must be named *.safetensors)",
                    path.display()
                )
            })
        }
    }

    /// Writes a `.safetensors` file.
    pub(crate) fn save(&self, path: &Path) -> anyhow::Result<()> {
        let views = self.0.iter().map(|(name, tensor)| {
            let values = tensor.bytes()?;
            Ok((name, tensor, values))
        });
        let views = views.collect::<anyhow::Result<Vec<_>>>()?;
        let views = views.iter().map(|(name, tensor, values)| {
            let view = TensorView::new(tensor.dtype, tensor.shape.clone(), values)?;
            Ok((*name, view))
        });
        let views = views.collect::<anyhow::Result<Vec<_>>>()?;
        safetensors::serialize_to_file(views, None, path)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Adds a float32 tensor.
    pub(crate) fn insert(
        &mut self,
        name: String,
        shape: Vec<usize>,
        values: impl IntoIterator<Item = f32>,
    ) {
        let tensor = Tensor {
            dtype: Dtype::F32,
            shape,
            values: Values::Here(bytes(values)),
        };
        self.0.insert(name, tensor);
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// The values of a tensor as float32, little-endian.
    pub(crate) fn floats(&self, name: &str) -> anyhow::Result<Bytes> {
        let tensor = self
            .get(name)
            .with_context(|| format!("{name} is missing"))?;
        let values = tensor.bytes()?;
        let (pairs, _) = values.as_chunks::<2>();
        Ok(match tensor.dtype {
            Dtype::F32 => values,
            Dtype::F16 => bytes(pairs.iter().map(|&pair| f16::from_le_bytes(pair).to_f32())),
            Dtype::BF16 => bytes(pairs.iter().map(|&pair| bf16::from_le_bytes(pair).to_f32())),
            other => bail!("{name} is {other}, not float32"),
        })
    }
}

impl Tensor {
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// True if [`StateDict::floats`] can convert it to float32.
    pub(crate) fn is_float(&self) -> bool {
        matches!(self.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }

    fn bytes(&self) -> anyhow::Result<Bytes> {
        Ok(match &self.values {
            Values::Here(bytes) => bytes.clone(),
            Values::InFile(tensor) => tensor.read()?.into(),
        })
    }
}

/// The float32 values in little-endian bytes.
pub(crate) fn f32s(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values.iter().map(|&value| f32::from_le_bytes(value))
}

/// Values as little-endian bytes.
pub(crate) fn bytes(values: impl IntoIterator<Item = f32>) -> Bytes {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// The tensors share the file's bytes.
fn from_safetensors(file: Bytes) -> anyhow::Result<StateDict> {
    let tensors = SafeTensors::deserialize(&file)?;
    let tensor = |view: TensorView<'_>| Tensor {
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        values: Values::Here(file.slice_ref(view.data())),
    };
    let tensors = tensors.tensors().into_iter();
    Ok(StateDict(
        tensors.map(|(name, view)| (name, tensor(view))).collect(),
    ))
}

fn from_torch(path: &Path) -> anyhow::Result<StateDict> {
    let tensors = PytorchReader::new(path)?.into_tensors().into_iter();
    let tensor = |tensor: pytorch_reader::Tensor| Tensor {
        dtype: dtype(tensor.dtype()),
        shape: tensor.shape().to_vec(),
        values: Values::InFile(tensor),
    };
    Ok(StateDict(
        tensors.map(|(name, read)| (name, tensor(read))).collect(),
    ))
}

fn dtype(torch: DType) -> Dtype {
    match torch {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Made by `tests/state_dicts.py`.
    const FILES: [&str; 3] = ["legacy.pth", "zip.pth", "state_dict.safetensors"];

    fn path(file: &str) -> PathBuf {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data")).join(file)
    }

    #[test]
    fn both_formats_of_torch_and_safetensors_hold_the_same_values() {
        for file in FILES {
            let dict = StateDict::read(&path(file)).unwrap();
            let expected: [(&str, &[usize], &[f32]); 6] = [
                ("whole", &[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
                ("transposed", &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
                ("part", &[2], &[2.0, 3.0]),
                ("parameter", &[1], &[7.0]),
                ("half", &[2], &[0.5, -2.0]),
                ("brain", &[1], &[1.5]),
            ];
            for (name, shape, values) in expected {
                let tensor = dict.get(name).unwrap();
                assert!(
                    tensor.is_float() && tensor.shape() == shape,
                    "{file}: {name}"
                );
                let floats: Vec<_> = f32s(&dict.floats(name).unwrap()).collect();
                assert_eq!(floats, values, "{file}: {name}");
            }
            assert_eq!(dict.names().count(), 7);
            assert!(!dict.get("batches").unwrap().is_float());
            let error = dict.floats("batches").unwrap_err().to_string();
            assert_eq!(error, "batches is I64, not float32");
        }
    }

    /// Reads a file and all of its values.
    fn read_all(path: &Path) -> anyhow::Result<()> {
        let dict = StateDict::read(path)?;
        let mut tensors = dict.0.values();
        tensors.try_for_each(|tensor| tensor.bytes().map(|_| ()))
    }

    #[test]
    fn a_truncated_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        for file in FILES {
            let whole = fs::read(path(file)).unwrap();
            let cut = folder.path().join(file);
            for length in (0..whole.len()).step_by(13) {
                fs::write(&cut, &whole[..length]).unwrap();
                assert!(read_all(&cut).is_err(), "{length} bytes of {file}");
            }
        }
    }

    #[test]
    fn a_corrupted_file_never_panics() {
        let folder = tempfile::tempdir().unwrap();
        for file in FILES {
            let whole = fs::read(path(file)).unwrap();
            let corrupted = folder.path().join(file);
            let mut errors = 0;
            for place in 0..whole.len() {
                let mut bytes = whole.clone();
                bytes[place] ^= 0xff;
                fs::write(&corrupted, bytes).unwrap();
                errors += usize::from(read_all(&corrupted).is_err());
            }
            assert!(errors > 0, "{file}");
        }
    }
}
