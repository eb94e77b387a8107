//! Checks of a GPU before an engine uses it, and explanations of its errors.

use std::env;

use nvml_wrapper::{Nvml, error::NvmlError};

use crate::Error;

/// Returns the size in bytes of a share of the memory of GPU number `gpu`, in CUDA's numbering.
pub(crate) fn memory(gpu: u32, share: f32) -> Result<usize, Error> {
    let visible = env::var("CUDA_VISIBLE_DEVICES").ok();
    let total =
        total_memory(gpu, visible.as_deref()).map_err(|reason| Error::Gpu { gpu, reason })?;
    Ok((total as f64 * f64::from(share)) as usize)
}

fn total_memory(gpu: u32, visible: Option<&str>) -> Result<u64, String> {
    let nvml = Nvml::init().map_err(|error| match error {
        NvmlError::LibloadingError(_) => {
            "this machine has no NVIDIA driver (libnvidia-ml.so.1 is missing)".to_owned()
        }
        error => format!("the NVIDIA driver does not respond: {error}"),
    })?;
    let count = nvml.device_count().map_err(|error| error.to_string())?;
    let none = || format!("there are {count} GPUs, numbered from 0");
    let device = match visible {
        None => nvml.device_by_index(gpu).map_err(|_| none())?,
        Some(visible) => {
            let hidden = || format!("CUDA_VISIBLE_DEVICES={visible} names no such GPU");
            let name = visible.split(',').nth(gpu as usize).ok_or_else(hidden)?;
            match name.trim().parse() {
                Ok(index) => nvml.device_by_index(index),
                Err(_) => nvml.device_by_uuid(name.trim()),
            }
            .map_err(|_| hidden())?
        }
    };
    let memory = device.memory_info().map_err(|error| error.to_string())?;
    Ok(memory.total)
}

/// Returns whether an engine's error concerns the GPU, and not the file.
pub(crate) fn is_about_gpu(reason: &str) -> bool {
    let words = ["cuda", "cudnn", "cublas", "gpu", "memory", "cpu ep"];
    let lower = reason.to_lowercase();
    words.iter().any(|word| lower.contains(word))
}

/// Adds the cause or remedy to an engine's error about a GPU.
pub(crate) fn explain(reason: &str) -> String {
    let reason = reason.trim();
    let lower = reason.to_lowercase();
    let about = |words: &[&str]| words.iter().any(|words| lower.contains(words));
    let advice = if about(&["not enabled in this build", "provider is not available"]) {
        "this onnxruntime is the CPU package: `make cuda` fetches the GPU package"
    } else if about(&["libtorch_cuda.so: cannot open"]) {
        "this libtorch is the CPU package: `make cuda` fetches the GPU package"
    } else if about(&["libcuda.so"]) {
        "this machine has no NVIDIA driver"
    } else if about(&["cannot open shared object", "failed to preload"]) {
        "a library of CUDA 13 or cuDNN 9 is missing: `make cuda` fetches them"
    } else if about(&[
        "out of memory",
        "failed to allocate memory",
        "available memory",
    ]) {
        "not enough free GPU memory: use a smaller batch size or a larger --gpu_mem_frac"
    } else if about(&["driver version is insufficient"]) {
        "the NVIDIA driver is too old for CUDA 13"
    } else if about(&[
        "cpu ep has been explicitly disabled",
        "disable_cpu_ep_fallback",
    ]) {
        "the network has operations that onnxruntime supports only on CPUs"
    } else {
        return reason.to_owned();
    };
    format!("{advice} ({reason})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpu_errors_come_with_a_remedy() {
        for (reason, advice) in [
            (
                "CUDA execution provider is not enabled in this build.",
                "`make cuda`",
            ),
            (
                "libcublasLt.so.13: cannot open shared object file",
                "CUDA 13",
            ),
            (
                "libcuda.so.1: cannot open shared object file",
                "no NVIDIA driver",
            ),
            ("CUDA failure 2: out of memory", "smaller batch size"),
            (
                "CUDA failure 35: CUDA driver version is insufficient",
                "too old",
            ),
        ] {
            let text = explain(reason);
            assert!(text.contains(advice) && text.contains(reason), "{text}");
        }
        assert_eq!(explain("lightning"), "lightning");
    }
}
