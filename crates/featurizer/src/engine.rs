//! The network on onnxruntime: one session, one call per batch.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use model::Output;
use ort::{
    environment::Environment,
    session::Session,
    value::{Outlet, TensorElementType, TensorRef, ValueType},
};

use crate::{Architecture, Error};

/// A network, ready to compute.
pub(crate) struct Engine {
    session: Session,
    architecture: &'static Architecture,
    library: PathBuf,
}

impl Engine {
    /// Loads the ONNX model at `path`, to be computed by `threads` threads.
    pub(crate) fn load(
        architecture: &'static Architecture,
        path: &Path,
        threads: usize,
    ) -> Result<Engine, Error> {
        if !path.is_file() {
            return Err(Error::Missing(path.to_owned()));
        }
        let Runtime {
            environment,
            library,
        } = runtime()?;
        let session = open(&environment, path, threads).map_err(|error| Error::Artifact {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let (side, features) = (architecture.side as i64, architecture.features as i64);
        fit("input", session.inputs(), &[ANY, 3, side, side])
            .and_then(|()| fit("output", session.outputs(), &[ANY, features]))
            .map_err(|reason| Error::Shape {
                path: path.to_owned(),
                model: architecture.name,
                reason,
            })?;
        Ok(Engine {
            session,
            architecture,
            library,
        })
    }

    /// The engine's name and version. The version is that in the name of the library's file: the library's own
    /// answer is out of reach of safe code.
    pub(crate) fn version(&self) -> String {
        let file = self.library.file_name().unwrap_or_default();
        match file.to_string_lossy().split_once(".so.") {
            Some((_, version)) => format!("onnxruntime {version}"),
            None => "onnxruntime".to_owned(),
        }
    }

    /// The features of pictures `[n, 3, side, side]`, one output of `features` floats for each.
    pub(crate) fn run(&mut self, pictures: &[f32]) -> ort::Result<Vec<Output>> {
        if pictures.is_empty() {
            return Ok(Vec::new());
        }
        let Architecture { side, features, .. } = *self.architecture;
        let shape = [pictures.len() / self.architecture.values(), 3, side, side];
        let input = TensorRef::from_array_view((shape, pictures))?;
        let outputs = self.session.run(ort::inputs![input])?;
        let (_, values) = outputs[0].try_extract_tensor::<f32>()?;
        let rows = values.chunks_exact(features);
        Ok(rows.map(|row| Output::Floats(row.to_vec())).collect())
    }
}

/// A dimension that the model leaves open: the length of the batch.
const ANY: i64 = -1;

/// Threads that wait do not spin: spinning takes the cores from a second replica, the frontend and the driver where they
/// share them (BENCHMARKING.md has the trial).
fn open(environment: &Environment, path: &Path, threads: usize) -> ort::Result<Session> {
    Session::builder(environment)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?
        .commit_from_file(path)
}

/// Whether there is exactly one float32 tensor, of the shape wanted; if not, what is wrong.
fn fit(what: &str, found: &[Outlet], wanted: &[i64]) -> Result<(), String> {
    let found = match found {
        [only] => match only.dtype() {
            ValueType::Tensor { ty, shape, .. } if *ty == TensorElementType::Float32 => {
                if **shape == *wanted {
                    return Ok(());
                }
                in_words(shape)
            }
            other => other.to_string(),
        },
        several => format!("{} tensors", several.len()),
    };
    let wanted = in_words(wanted);
    Err(format!("its {what} is {found}, it must be {wanted}"))
}

fn in_words(shape: &[i64]) -> String {
    let sizes = shape.iter().map(|&size| match size {
        ANY => "N".to_owned(),
        size => size.to_string(),
    });
    format!("[{}]", sizes.collect::<Vec<_>>().join(", "))
}

/// onnxruntime itself.
#[derive(Clone)]
struct Runtime {
    environment: Environment,
    /// The library's file, links followed.
    library: PathBuf,
}

/// The process's only runtime, started by the first call.
fn runtime() -> Result<Runtime, Error> {
    static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
    let mut slot = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*slot {
        return Ok(runtime.clone());
    }
    let named = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
    let path = find_library(named, &env::current_exe().unwrap_or_default())?;
    let start = |path: &Path| {
        let environment = ort::init_from(path).map_err(ort::Error::wrap)?;
        environment.with_telemetry(false).build()
    };
    let environment = start(&path).map_err(|error| Error::Library {
        path: path.clone(),
        reason: error.to_string(),
    })?;
    let library = path.canonicalize().unwrap_or(path);
    Ok(slot
        .insert(Runtime {
            environment,
            library,
        })
        .clone())
}

/// Where onnxruntime is: what ORT_DYLIB_PATH names, else in a folder above the executable, so that a binary started
/// directly finds it too.
fn find_library(named: Option<OsString>, executable: &Path) -> Result<PathBuf, Error> {
    let candidates = match named {
        Some(path) => vec![PathBuf::from(path)],
        None => executable
            .ancestors()
            .skip(1)
            .flat_map(|folder| [folder.join(".deps/lib"), folder.join("lib")])
            .map(|folder| folder.join("libonnxruntime.so"))
            .collect(),
    };
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(Error::LibraryMissing(candidates)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_library_is_found_above_the_executable() {
        let root = tempfile::tempdir().unwrap();
        let library = root.path().join(".deps/lib/libonnxruntime.so");
        let executable = root.path().join("target/release/vgg");
        let error = find_library(None, &executable).unwrap_err().to_string();
        assert!(error.contains("make setup"), "{error}");
        assert!(error.contains(library.to_str().unwrap()), "{error}");

        fs::create_dir_all(library.parent().unwrap()).unwrap();
        fs::write(&library, "").unwrap();
        assert_eq!(find_library(None, &executable).unwrap(), library);
    }

    #[test]
    fn a_library_that_is_named_is_the_only_one_looked_for() {
        let error = find_library(Some("/nowhere/engine.so".into()), Path::new("/bin/vgg"));
        let error = error.unwrap_err().to_string();
        assert!(
            error.ends_with("(looked for /nowhere/engine.so)"),
            "{error}"
        );
    }
}
