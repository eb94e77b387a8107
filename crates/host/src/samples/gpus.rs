//! NVIDIA GPUs, through NVML. Where there is no driver there is nothing to see, and no error.

use std::env;

use nvml_wrapper::{Device, Nvml};

use crate::resources::GpuUse;

/// The GPUs that replicas compute on.
#[derive(Debug)]
pub(super) struct Gpus {
    nvml: Option<Nvml>,
    /// As nvidia-smi counts.
    indexes: Vec<u32>,
}

impl Gpus {
    /// Those with these numbers among the ones that CUDA may see. NVML is not even looked for if there are none.
    pub(super) fn open(numbers: &[u32]) -> Gpus {
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
        Gpus { nvml, indexes }
    }

    /// One entry for each, without samples.
    pub(super) fn described(&self) -> Vec<GpuUse> {
        let described = |(index, device): (u32, Option<Device<'_>>)| {
            GpuUse::new(
                index,
                device.and_then(|d| d.name().ok()).unwrap_or_default(),
            )
        };
        self.devices().map(described).collect()
    }

    /// Adds to each of `described` what it does now; nothing where its driver does not tell.
    pub(super) fn sample(&self, described: &mut [GpuUse]) {
        for (gpu, (_, device)) in described.iter_mut().zip(self.devices()) {
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

fn index(nvml: &Nvml, number: u32, visible: Option<&str>) -> Option<u32> {
    let name = named(number, visible)?;
    let device = match name.parse() {
        Ok(index) => nvml.device_by_index(index),
        Err(_) => nvml.device_by_uuid(name),
    };
    device.ok()?.index().ok()
}

/// The index or UUID of the GPU that CUDA counts as `number`, where it may see those of a list, or all.
fn named(number: u32, visible: Option<&str>) -> Option<String> {
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
    fn without_a_driver_or_a_gpu_of_that_number_nothing_is_seen_and_nothing_fails() {
        let gpus = Gpus::open(&[4_000]);
        let mut described = gpus.described();
        assert_eq!(described, []);
        gpus.sample(&mut described);
        assert!(Gpus::open(&[]).nvml.is_none());
    }

    #[test]
    fn a_gpus_number_counts_those_that_cuda_may_see() {
        assert_eq!(named(1, Some("3, 7")).as_deref(), Some("7"));
        assert_eq!(
            named(0, Some("GPU-8932f937")).as_deref(),
            Some("GPU-8932f937")
        );
        assert_eq!(named(2, Some("3, 7")), None);
        assert_eq!(named(2, None).as_deref(), Some("2"));
    }
}
