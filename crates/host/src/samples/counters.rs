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

/// A process to look at.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What it is called in the result.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// The cores that it was to run on, if it was pinned.
    pub pinned: Option<Cores>,
}

/// What the kernel has counted until some moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    /// Each process; `None` if it cannot be read, because it has ended for instance.
    pub(super) processes: Vec<Option<ProcessCounters>>,
    pub(super) cores: Vec<CoreCounters>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct ProcessCounters {
    pub(super) cpu_micros: u64,
    /// No counter: what it has now.
    pub(super) rss_bytes: u64,
    /// Of each thread that there is, by its id.
    pub(super) switches: BTreeMap<i32, Switches>,
    /// No counter either: the cores that the kernel lets its threads run on, all together.
    pub(super) held: BTreeSet<usize>,
}

/// How often a thread has waited, and how often another has taken its core.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Switches {
    pub(super) voluntary: u64,
    pub(super) involuntary: u64,
}

/// In ticks, all the same.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CoreCounters {
    pub(super) busy: u64,
    pub(super) stolen: u64,
    pub(super) ticks: u64,
}

/// Where the counters come from.
#[derive(Debug)]
pub(super) struct Source {
    /// By a handle, so that another process that gets the number is not taken for it.
    processes: Vec<Option<Process>>,
    cores: Cores,
}

impl Source {
    pub(super) fn open(watched: &[Watched], cores: &[usize]) -> Source {
        let open = |watched: &Watched| Process::new(watched.pid.try_into().ok()?).ok();
        Source {
            processes: watched.iter().map(open).collect(),
            cores: cores.to_vec(),
        }
    }

    pub(super) fn read(&self) -> Counters {
        let processes = self.processes.iter();
        Counters {
            processes: processes.map(|process| read(process.as_ref()?)).collect(),
            cores: self.read_cores(),
        }
    }

    fn read_cores(&self) -> Vec<CoreCounters> {
        let times = KernelStats::current().map(|stats| stats.cpu_time);
        let times = times.unwrap_or_default();
        // The kernel lists those that are online, in this order.
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

/// What the kernel says of each thread; those that end meanwhile are left out.
fn threads(process: &Process) -> impl Iterator<Item = Status> {
    let tasks = process.tasks().into_iter().flatten().flatten();
    tasks.filter_map(|task| task.status().ok())
}

impl ProcessCounters {
    /// The switches since `before`, of the threads that there are.
    pub(super) fn switches_since(&self, before: &ProcessCounters) -> Switches {
        let mut all = Switches::default();
        for (thread, now) in &self.switches {
            let then = before.switches.get(thread).copied().unwrap_or_default();
            all.voluntary += now.voluntary.saturating_sub(then.voluntary);
            all.involuntary += now.involuntary.saturating_sub(then.involuntary);
        }
        all
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
