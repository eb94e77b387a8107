//! What a point used of the machine, over time, and whether its pins held.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Samples taken at the same moments, from the beginning of the point's load to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// Seconds since the beginning of the load at which the samples end; each list below has as many values.
    pub seconds: Vec<f64>,
    /// The driver, the frontend and each replica.
    pub processes: Vec<ProcessUse>,
    /// Every core that the driver may use.
    pub cores: Vec<CoreUse>,
    /// The share of time that the host gave to others, over those cores: 0 to 1.
    pub stolen: Vec<f64>,
    /// Seconds in which the control group was stopped for having used its share, all together; absent without a limit.
    pub throttled_seconds: Option<f64>,
    /// Every GPU that a replica computes on.
    pub gpus: Vec<GpuUse>,
}

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessUse {
    /// `driver`, `frontend`, or the replica's name, for instance `vgg-0`.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// Cores' worth of time: 1 is all of one core.
    pub cpu: Vec<f64>,
    /// Resident memory in MiB.
    pub rss_mib: Vec<f64>,
    /// Context switches a second, of the threads that were there at the sample's end: it waited for something.
    pub voluntary_switches: Vec<f64>,
    /// Likewise: another took its core.
    pub involuntary_switches: Vec<f64>,
    /// The cores that it was to run on, as a list; absent if it was not pinned.
    pub pinned: Option<String>,
    /// The cores that the kernel let its threads run on, all together, as a list.
    pub held: Option<String>,
}

/// One core.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CoreUse {
    /// Its number.
    pub core: usize,
    /// The share of time that it worked: 0 to 1.
    pub busy: Vec<f64>,
}

/// One GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuUse {
    /// Its number, as nvidia-smi shows it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The share of time in which it computed: 0 to 1.
    pub busy: Vec<f64>,
    /// Memory in use, in MiB, by whoever.
    pub memory_mib: Vec<f64>,
    /// Watts.
    pub power_watts: Vec<f64>,
}

impl Resources {
    /// The process of this name.
    pub fn process(&self, name: &str) -> Option<&ProcessUse> {
        self.processes.iter().find(|process| process.name == name)
    }
}
