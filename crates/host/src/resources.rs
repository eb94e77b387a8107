//! Resources that a trial used over time, and the cores that its processes ran on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Samples taken at common times, from the start of the trial's load to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// End of each sample, in seconds since the start of the load; the lists below have as many values.
    pub seconds: Vec<f64>,
    /// The driver, the frontend and each replica.
    pub processes: Vec<ProcessUse>,
    /// Cores that the driver may use.
    pub cores: Vec<CoreUse>,
    /// Fraction of those cores' time that the hypervisor gave to other guests: 0 to 1.
    pub stolen: Vec<f64>,
    /// Seconds for which the control groups were throttled, in total; absent without a CPU limit.
    pub throttled_seconds: Option<f64>,
    /// GPUs that replicas run on.
    pub gpus: Vec<GpuUse>,
}

/// Resources that one process used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessUse {
    /// `driver`, `frontend`, or the replica's name, for instance `vgg-0`.
    pub name: String,
    /// Process id.
    pub pid: u32,
    /// CPU use in cores: 1 is all the time of one core.
    pub cpu: Vec<f64>,
    /// Resident memory in MiB.
    pub rss_mib: Vec<f64>,
    /// Voluntary context switches per second (a thread waited), of the threads alive at the sample's end.
    pub voluntary_switches: Vec<f64>,
    /// Involuntary context switches per second (a thread was preempted), of the same threads.
    pub involuntary_switches: Vec<f64>,
    /// Cores that the process was pinned to, as a list; absent if it was not pinned.
    pub pinned: Option<String>,
    /// Union of the cores that the kernel allowed its threads to run on, as a list.
    pub held: Option<String>,
}

/// Load of one core.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoreUse {
    /// Core number.
    pub core: usize,
    /// Fraction of time in which the core was busy: 0 to 1.
    pub busy: Vec<f64>,
}

/// Load of one GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuUse {
    /// Index of the GPU, as nvidia-smi shows it.
    pub index: u32,
    /// Product name.
    pub name: String,
    /// Fraction of time in which the GPU was busy: 0 to 1.
    pub busy: Vec<f64>,
    /// Memory in use by all processes, in MiB.
    pub memory_mib: Vec<f64>,
    /// Power draw in watts.
    pub power_watts: Vec<f64>,
}

impl Resources {
    /// Returns the process with this name.
    pub fn process(&self, name: &str) -> Option<&ProcessUse> {
        self.processes.iter().find(|process| process.name == name)
    }
}
