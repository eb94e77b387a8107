//! NVIDIA GPUs, through NVML. Without a driver there are no samples and no errors.

use std::env;

use nvml_wrapper::{Device, Nvml};

use crate::resources::GpuUse;

/// The GPUs that replicas run on.
#[derive(Debug)]
pub(super) struct GpuSource {
    nvml: Option<Nvml>,
    /// Indexes as nvidia-smi shows them.
    indexes: Vec<u32>,
}

impl GpuSource {
    /// Opens the GPUs with these CUDA device numbers. Loads NVML only if there are any.
    pub(super) fn open(numbers: &[u32]) -> GpuSource {
        let nvml = match numbers {
            [] => None,
            _ => Nvml::init().ok(),
        };
        let visible = env::var("CUDA_VISIBLE_DEVICES").ok();
        let indexes = match &nvml {
            None => Vec::new(),
            Some(nvml) => {
                let index = |&number| index(nvml, number, visible.as_deref());
                numbers.iter().filter_map(index).collect()
            }
        };
        GpuSource { nvml, indexes }
    }

    /// Returns an entry without samples for each GPU.
    pub(super) fn entries(&self) -> Vec<GpuUse> {
        let entry = |(index, device): (u32, Option<Device<'_>>)| {
            GpuUse::new(
                index,
                device.and_then(|d| d.name().ok()).unwrap_or_default(),
            )
        };
        self.devices().map(entry).collect()
    }

    /// Appends a sample to each of `entries`, as far as the driver supports it.
    pub(super) fn sample(&self, entries: &mut [GpuUse]) {
        for (gpu, (_, device)) in entries.iter_mut().zip(self.devices()) {
            let Some(device) = device else { continue };
            let busy = device.utilization_rates().ok();
            gpu.busy
                .extend(busy.map(|rates| f64::from(rates.gpu) / 100.0));
            let memory = device.memory_info().ok();
            gpu.memory_mib
                .extend(memory.map(|memory| memory.used as f64 / f64::from(1 << 20)));
            let power = device.power_usage().ok();
            gpu.power_watts
                .extend(power.map(|milliwatts| f64::from(milliwatts) / 1e3));
        }
    }

    fn devices(&self) -> impl Iterator<Item = (u32, Option<Device<'_>>)> {
        let device = |index| self.nvml.as_ref()?.device_by_index(index).ok();
        self.indexes
            .iter()
            .map(move |&index| (index, device(index)))
    }
}

/// Returns the NVML index of CUDA's device `number`.
fn index(nvml: &Nvml, number: u32, visible: Option<&str>) -> Option<u32> {
    let name = index_or_uuid(number, visible)?;
    let device = match name.parse() {
        Ok(index) => nvml.device_by_index(index),
        Err(_) => nvml.device_by_uuid(name),
    };
    device.ok()?.index().ok()
}

/// Returns the index or UUID of CUDA's device `number`. `visible` is the value of `CUDA_VISIBLE_DEVICES`;
/// `None`: all GPUs are visible.
fn index_or_uuid(number: u32, visible: Option<&str>) -> Option<String> {
    match visible {
        None => Some(number.to_string()),
        Some(list) => {
            let mut names = list.split(',').map(|name| name.trim().to_owned());
            names.nth(number as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_driver_or_gpu_gives_no_samples() {
        let gpus = GpuSource::open(&[4_000]);
        let mut entries = gpus.entries();
        assert_eq!(entries, []);
        gpus.sample(&mut entries);
        assert!(GpuSource::open(&[]).nvml.is_none());
    }

    #[test]
    fn numbers_count_the_visible_gpus() {
        assert_eq!(index_or_uuid(1, Some("3, 7")).as_deref(), Some("7"));
        assert_eq!(
            index_or_uuid(0, Some("GPU-8932f937")).as_deref(),
            Some("GPU-8932f937")
        );
        assert_eq!(index_or_uuid(2, Some("3, 7")), None);
        assert_eq!(index_or_uuid(2, None).as_deref(), Some("2"));
    }
}
