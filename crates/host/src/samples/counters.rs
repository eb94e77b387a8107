//! The kernel's counters of processes and cores.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use procfs::{
    CpuTime, CurrentSI, KernelStats,
    process::{Process, Status},
};

use crate::cores::{self, Cores};

/// A process to sample.
#[derive(Clone, Debug)]
pub struct WatchedProcess {
    /// Name in the result, for instance `vgg-0`.
    pub name: String,
    /// Process id.
    pub pid: u32,
    /// Cores that the process is pinned to, if any.
    pub pinned: Option<Cores>,
}

/// A reading of all counters.
#[derive(Clone, Debug, Default)]
pub(super) struct CounterReading {
    /// One entry per process; `None` if it cannot be read, for instance because it has exited.
    pub(super) processes: Vec<Option<ProcessCounters>>,
    pub(super) cores: Vec<CoreCounters>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct ProcessCounters {
    pub(super) cpu_micros: u64,
    /// Current value, not a counter.
    pub(super) rss_bytes: u64,
    /// Context switches of each thread, by its id.
    pub(super) switches: BTreeMap<i32, Switches>,
    /// Current value: the cores that the kernel allows any of its threads to run on.
    pub(super) held: BTreeSet<usize>,
}

/// Context switches of a thread: it waited, or it was preempted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Switches {
    pub(super) voluntary: u64,
    pub(super) involuntary: u64,
}

/// Time of a core, in ticks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CoreCounters {
    pub(super) busy: u64,
    pub(super) stolen: u64,
    pub(super) ticks: u64,
}

/// Reads the counters.
#[derive(Debug)]
pub(super) struct CounterSource {
    /// Open handles, so that a process that reuses an id is not taken for the old one.
    processes: Vec<Option<Process>>,
    cores: Cores,
}

impl CounterSource {
    pub(super) fn open(watched: &[WatchedProcess], cores: &[usize]) -> CounterSource {
        let open = |watched: &WatchedProcess| Process::new(watched.pid.try_into().ok()?).ok();
        CounterSource {
            processes: watched.iter().map(open).collect(),
            cores: cores.to_vec(),
        }
    }

    pub(super) fn read(&self) -> CounterReading {
        let processes = self.processes.iter();
        CounterReading {
            processes: processes.map(|process| read(process.as_ref()?)).collect(),
            cores: self.read_cores(),
        }
    }

    fn read_cores(&self) -> Vec<CoreCounters> {
        let times = KernelStats::current().map(|stats| stats.cpu_time);
        let times = times.unwrap_or_default();
        // The kernel lists the cores that are online, in this order.
        let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
        let online = cores::parse(&[online]).unwrap_or_default();
        let of = |core: &usize| {
            let place = online.iter().position(|online| online == core);
            let time = times.get(place.unwrap_or(*core));
            time.map_or(CoreCounters::default(), core_counters)
        };
        self.cores.iter().map(of).collect()
    }
}

fn read(process: &Process) -> Option<ProcessCounters> {
    let stat = process.stat().ok()?;
    let mut counters = ProcessCounters {
        cpu_micros: (stat.utime + stat.stime) * 1_000_000 / procfs::ticks_per_second(),
        rss_bytes: stat.rss * procfs::page_size(),
        ..ProcessCounters::default()
    };
    for thread in threads(process) {
        let switches = Switches {
            voluntary: thread.voluntary_ctxt_switches.unwrap_or(0),
            involuntary: thread.nonvoluntary_ctxt_switches.unwrap_or(0),
        };
        counters.switches.insert(thread.pid, switches);
        let ranges = thread.cpus_allowed_list.into_iter().flatten();
        let cores = ranges.flat_map(|(first, last)| first as usize..=last as usize);
        counters.held.extend(cores);
    }
    Some(counters)
}

/// Lists the status of each thread, without those that exit meanwhile.
fn threads(process: &Process) -> impl Iterator<Item = Status> {
    let tasks = process.tasks().into_iter().flatten().flatten();
    tasks.filter_map(|task| task.status().ok())
}

impl ProcessCounters {
    /// Returns the switches since `before`, over the threads that still run.
    pub(super) fn switches_since(&self, before: &ProcessCounters) -> Switches {
        let mut total = Switches::default();
        for (thread, now) in &self.switches {
            let then = before.switches.get(thread).copied().unwrap_or_default();
            total.voluntary += now.voluntary.saturating_sub(then.voluntary);
            total.involuntary += now.involuntary.saturating_sub(then.involuntary);
        }
        total
    }
}

fn core_counters(time: &CpuTime) -> CoreCounters {
    let [irq, softirq, stolen, waiting] =
        [time.irq, time.softirq, time.steal, time.iowait].map(Option::unwrap_or_default);
    let busy = time.user + time.nice + time.system + irq + softirq;
    CoreCounters {
        busy,
        stolen,
        ticks: busy + stolen + time.idle + waiting,
    }
}
