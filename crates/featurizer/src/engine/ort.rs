//! ONNX Runtime: one session, and one call per batch.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use model::Device;
use ort::{
    environment::Environment,
    logging::LogLevel,
    session::{OutputSelector, RunOptions, Session, builder::SessionBuilder},
    value::{Outlet, TensorElementType, TensorRef, ValueType},
};

use super::{
    cuda,
    interface::{ComputeResources, EngineError, EngineOutput, InferenceEngine},
};
use crate::{Error, Network, network::NetworkPort};

/// A session of ONNX Runtime.
pub(crate) struct Onnxruntime {
    session: Session,
    library: PathBuf,
}

impl Onnxruntime {
    /// Loads the ONNX file at `path`.
    pub(crate) fn load(path: &Path, resources: ComputeResources) -> Result<Onnxruntime, Error> {
        let Runtime {
            environment,
            library,
        } = runtime()?;
        let unreadable = |error: ort::Error| Error::Artifact {
            path: path.to_owned(),
            engine: "onnxruntime",
            reason: error.to_string(),
        };
        let mut builder = builder(&environment, resources.threads).map_err(unreadable)?;
        let session = match resources.device {
            Device::Cpu => builder.commit_from_file(path).map_err(unreadable)?,
            Device::Cuda(gpu) => {
                let memory = cuda::memory(gpu, resources.gpu_mem_frac)?;
                let unusable = |error: ort::Error| Error::Gpu {
                    gpu,
                    reason: cuda::explain(&error.to_string()),
                };
                let mut builder = on_gpu(builder, gpu, memory, &library).map_err(unusable)?;
                builder.commit_from_file(path).map_err(|error| {
                    match cuda::is_about_gpu(&error.to_string()) {
                        true => unusable(error),
                        false => unreadable(error),
                    }
                })?
            }
        };
        Ok(Onnxruntime { session, library })
    }
}

impl InferenceEngine for Onnxruntime {
    /// Reads the version from the library's file name; safe code cannot query the library.
    fn version(&self) -> String {
        let file = self.library.file_name().unwrap_or_default();
        match file.to_string_lossy().split_once(".so.") {
            Some((_, version)) => format!("onnxruntime {version}"),
            None => "onnxruntime".to_owned(),
        }
    }

    fn inputs(&self) -> Vec<NetworkPort> {
        self.session.inputs().iter().map(port).collect()
    }

    fn outputs(&self) -> Vec<NetworkPort> {
        self.session.outputs().iter().map(port).collect()
    }

    fn run(&mut self, network: &Network, pictures: &[f32]) -> Result<EngineOutput, EngineError> {
        let mut run = || {
            let shape = network.shape(pictures.len() / network.values());
            let input = TensorRef::from_array_view((shape, pictures))?;
            let only = OutputSelector::no_default().with(&network.output);
            let mut options = RunOptions::new()?.with_outputs(only);
            // Errors are returned, and must not go to standard error as well.
            options.set_log_level(LogLevel::Fatal)?;
            let inputs = ort::inputs![network.input.as_str() => input];
            let outputs = self.session.run_with_options(inputs, &options)?;
            let (shape, values) = outputs[0].try_extract_tensor::<f32>()?;
            let sizes = shape.iter().map(|&size| usize::try_from(size));
            Ok(EngineOutput {
                shape: sizes.collect::<Result<_, _>>().map_err(ort::Error::wrap)?,
                values: values.to_vec(),
            })
        };
        run().map_err(|error: ort::Error| EngineError(error.to_string()))
    }
}

/// Returns a session builder whose waiting threads do not spin: spinning would take shared cores
/// from a second replica, the frontend and the driver. BENCHMARKING.md compares this and other
/// options.
fn builder(environment: &Environment, threads: usize) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_intra_op_spinning(false)?)
}

/// Requires every operation to run on the GPU, in full float32. By default onnxruntime would fall
/// back to the CPU, for some or all operations.
fn on_gpu(
    builder: SessionBuilder,
    gpu: u32,
    memory: usize,
    library: &Path,
) -> ort::Result<SessionBuilder> {
    let folder = library.parent().unwrap_or(Path::new("."));
    if folder.join(ort::ep::cuda::CUDA_DYLIBS[0]).exists() {
        ort::ep::cuda::preload_dylibs(Some(folder), Some(folder))?;
    }
    let provider = ort::ep::CUDA::default()
        .with_device_id(gpu.cast_signed())
        .with_memory_limit(memory)
        .with_tf32(false)
        .build()
        .error_on_failure();
    Ok(builder
        .with_execution_providers([provider])?
        .with_config_entry("session.disable_cpu_ep_fallback", "1")?)
}

fn port(outlet: &Outlet) -> NetworkPort {
    let (element, shape) = match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let element = match ty {
                TensorElementType::Float32 => "float32".to_owned(),
                other => other.to_string(),
            };
            let sizes = shape.iter().map(|&size| usize::try_from(size).ok());
            (element, sizes.collect())
        }
        other => (other.to_string(), Vec::new()),
    };
    NetworkPort {
        name: outlet.name().to_owned(),
        element,
        shape,
    }
}

/// The loaded onnxruntime library.
#[derive(Clone)]
struct Runtime {
    environment: Environment,
    /// Path of the library, with symbolic links resolved.
    library: PathBuf,
}

/// Returns the process's only runtime; the first call starts it.
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

/// Returns the path of onnxruntime's library: `named` (`ORT_DYLIB_PATH`) or the first one in a
/// folder above the executable, so that directly started programs find it.
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
    fn finds_the_library_above_the_executable() {
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
    fn a_named_library_is_the_only_candidate() {
        let error = find_library(Some("/nowhere/engine.so".into()), Path::new("/bin/vgg"));
        let error = error.unwrap_err().to_string();
        assert!(
            error.ends_with("(looked for /nowhere/engine.so)"),
            "{error}"
        );
    }
}
