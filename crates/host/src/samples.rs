//! Sampling of processes, cores and GPUs under load, about twice a second, from the kernel and the GPUs'
//! driver.

mod counters;
mod gpus;

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    cgroup::ControlGroups,
    cores::{self, Cores},
    resources::{CoreUse, GpuUse, ProcessUse, Resources},
};
pub use counters::WatchedProcess;

use counters::{CounterReading, CounterSource, ProcessCounters};
use gpus::GpuSource;

/// Minimum time between two samples; the kernel counts CPU time in ticks of 10 ms.
const PERIOD: Duration = Duration::from_millis(500);

/// Takes samples of processes, cores and GPUs. Unreadable sources, for instance a process that has
/// exited, count as zero use.
#[derive(Debug)]
pub struct Sampler {
    start: Instant,
    source: CounterSource,
    gpus: GpuSource,
    groups: ControlGroups,
    /// Throttled time at the start.
    throttled: Option<Duration>,
    last: (Instant, CounterReading),
    /// Cores that each process has been allowed to run on, over all samples.
    held: Vec<BTreeSet<usize>>,
    resources: Resources,
}

impl Sampler {
    /// Starts sampling at `now`. `gpus` are CUDA device numbers, as the model servers use them.
    pub fn new(watched: &[WatchedProcess], cores: &[usize], gpus: &[u32], now: Instant) -> Sampler {
        let groups = ControlGroups::read(Path::new("/"));
        let source = CounterSource::open(watched, cores);
        let gpus = GpuSource::open(gpus);
        Sampler {
            start: now,
            throttled: groups.throttled(),
            last: (now, source.read()),
            held: vec![BTreeSet::new(); watched.len()],
            resources: Resources {
                processes: watched.iter().map(process_use).collect(),
                cores: cores.iter().map(|&core| core_use(core)).collect(),
                gpus: gpus.entries(),
                ..Resources::default()
            },
            source,
            gpus,
            groups,
        }
    }

    /// Takes a sample if the last one is at least 500 ms old.
    pub fn sample(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last.0) >= PERIOD {
            self.take(now);
        }
    }

    /// Samples taken so far.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Takes the last sample and fills in the cores that each process was allowed to run on.
    pub fn finish(mut self, now: Instant) -> Resources {
        // A much shorter sample would be too coarse.
        if now.saturating_duration_since(self.last.0) >= PERIOD / 2 {
            self.take(now);
        }
        for (process, held) in self.resources.processes.iter_mut().zip(&self.held) {
            let held: Cores = held.iter().copied().collect();
            process.held = (!held.is_empty()).then(|| cores::show(&held));
        }
        let throttled = self.groups.throttled();
        let since = |now: Duration| now.saturating_sub(self.throttled.unwrap_or_default());
        self.resources.throttled_seconds = throttled.map(|now| since(now).as_secs_f64());
        self.resources
    }

    fn take(&mut self, now: Instant) {
        let counters = self.source.read();
        for (held, process) in self.held.iter_mut().zip(&counters.processes) {
            held.extend(process.iter().flat_map(|process| &process.held));
        }
        let (then, before) = std::mem::replace(&mut self.last, (now, counters));
        let seconds = (now - then).as_secs_f64();
        self.resources
            .seconds
            .push((now - self.start).as_secs_f64());
        add(&mut self.resources, &before, &self.last.1, seconds);
        self.gpus.sample(&mut self.resources.gpus);
    }
}

fn process_use(watched: &WatchedProcess) -> ProcessUse {
    ProcessUse {
        name: watched.name.clone(),
        pid: watched.pid,
        pinned: watched.pinned.as_deref().map(cores::show),
        ..ProcessUse::default()
    }
}

fn core_use(core: usize) -> CoreUse {
    CoreUse {
        core,
        ..CoreUse::default()
    }
}

/// Appends a sample: the difference of two readings `seconds` apart. A counter that is missing or has
/// decreased counts as zero use.
fn add(resources: &mut Resources, before: &CounterReading, after: &CounterReading, seconds: f64) {
    let per_second = |count: u64| count as f64 / seconds;
    let readings = before.processes.iter().zip(&after.processes);
    for (process, readings) in resources.processes.iter_mut().zip(readings) {
        let missing = ProcessCounters::default();
        let (before, after) = match readings {
            (Some(before), Some(after)) => (before, after),
            _ => (&missing, &missing),
        };
        process
            .cpu
            .push(per_second(after.cpu_micros.saturating_sub(before.cpu_micros)) / 1e6);
        process
            .rss_mib
            .push(after.rss_bytes as f64 / f64::from(1 << 20));
        let switches = after.switches_since(before);
        process
            .voluntary_switches
            .push(per_second(switches.voluntary));
        process
            .involuntary_switches
            .push(per_second(switches.involuntary));
    }
    let (mut stolen, mut all) = (0, 0);
    let readings = before.cores.iter().zip(&after.cores);
    for (core, (before, after)) in resources.cores.iter_mut().zip(readings) {
        let ticks = after.ticks.saturating_sub(before.ticks);
        core.busy
            .push(share(after.busy.saturating_sub(before.busy), ticks));
        stolen += after.stolen.saturating_sub(before.stolen);
        all += ticks;
    }
    resources.stolen.push(share(stolen, all));
}

fn share(part: u64, all: u64) -> f64 {
    match all {
        0 => 0.0,
        all => (part as f64 / all as f64).min(1.0),
    }
}

impl GpuUse {
    fn new(index: u32, name: String) -> GpuUse {
        GpuUse {
            index,
            name,
            ..GpuUse::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        counters::{CoreCounters, Switches},
        *,
    };
    use std::process::{Child, Command, Stdio};

    fn counters(processes: &[Option<ProcessCounters>], cores: &[CoreCounters]) -> CounterReading {
        CounterReading {
            processes: processes.to_vec(),
            cores: cores.to_vec(),
        }
    }

    /// Returns the sample of two readings two seconds apart.
    fn sample(before: &CounterReading, after: &CounterReading) -> Resources {
        let mut resources = Resources {
            processes: vec![ProcessUse::default(); before.processes.len()],
            cores: vec![CoreUse::default(); before.cores.len()],
            ..Resources::default()
        };
        add(&mut resources, before, after, 2.0);
        resources
    }

    /// Returns counters of a process with this CPU time and these threads: id, voluntary and involuntary
    /// switches.
    fn process(cpu_seconds: u64, threads: &[(i32, u64, u64)]) -> ProcessCounters {
        let switches = |&(id, voluntary, involuntary)| {
            let switches = Switches {
                voluntary,
                involuntary,
            };
            (id, switches)
        };
        ProcessCounters {
            cpu_micros: cpu_seconds * 1_000_000,
            rss_bytes: cpu_seconds << 20,
            switches: threads.iter().map(switches).collect(),
            ..ProcessCounters::default()
        }
    }

    #[test]
    fn use_is_the_counter_difference_per_second() {
        let before = counters(&[Some(process(1, &[(1, 100, 7)]))], &[]);
        let after = counters(&[Some(process(4, &[(1, 300, 8)]))], &[]);
        let resources = sample(&before, &after);
        let process = &resources.processes[0];
        assert_eq!((process.cpu[0], process.rss_mib[0]), (1.5, 4.0));
        assert_eq!(process.voluntary_switches, [100.0]);
        assert_eq!(process.involuntary_switches, [0.5]);
    }

    #[test]
    fn switches_are_counted_per_thread() {
        let before = counters(&[Some(process(0, &[(1, 10, 0), (2, 5000, 900)]))], &[]);
        let after = counters(&[Some(process(0, &[(1, 20, 0), (3, 30, 4)]))], &[]);
        let process = &sample(&before, &after).processes[0];
        assert_eq!(process.voluntary_switches, [20.0]);
        assert_eq!(process.involuntary_switches, [2.0]);
    }

    #[test]
    fn missing_and_decreasing_counters_count_as_zero() {
        let some = process(5, &[(1, 100, 7)]);
        let less = process(4, &[(1, 90, 7)]);
        let before = counters(&[Some(some.clone()), Some(some.clone()), None], &[]);
        let after = counters(&[None, Some(less), Some(some)], &[]);
        let processes = sample(&before, &after).processes;
        assert_eq!(processes.iter().map(|p| p.cpu[0]).sum::<f64>(), 0.0);
        assert_eq!(processes[0].rss_mib, [0.0]);
        assert_eq!(processes[1].voluntary_switches, [0.0]);
        assert_eq!(processes[2].voluntary_switches, [0.0]);
    }

    #[test]
    fn idle_and_stolen_time_is_not_busy() {
        let core = |busy, stolen, ticks| CoreCounters {
            busy,
            stolen,
            ticks,
        };
        let before = counters(
            &[],
            &[core(100, 10, 1000), core(0, 0, 1000), core(5, 5, 50)],
        );
        let after = counters(
            &[],
            &[core(150, 30, 1200), core(200, 0, 1200), core(5, 5, 50)],
        );
        let resources = sample(&before, &after);
        let busy: Vec<_> = resources.cores.iter().map(|core| core.busy[0]).collect();
        assert_eq!(busy, [0.25, 1.0, 0.0]);
        assert_eq!(resources.stolen, [0.05]);
    }

    fn shell(script: &str, on: &[usize]) -> (Child, WatchedProcess) {
        let start = || {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).stdin(Stdio::piped()).spawn()
        };
        let child = cores::run_on(Some(on), start).flatten().unwrap();
        let watched = WatchedProcess {
            name: script.to_owned(),
            pid: child.id(),
            pinned: Some(on.to_vec()),
        };
        (child, watched)
    }

    #[test]
    fn samples_show_cpu_time_and_pinned_cores_of_processes() {
        let allowed = cores::allowed().unwrap();
        let core = vec![allowed[0]];
        let (mut busy, busy_watch) = shell("while :; do :; done", &core);
        let (mut idle, idle_watch) = shell("read line", &allowed);
        let (mut ended, ended_watch) = shell("exit", &allowed);
        ended.wait().unwrap();
        let watched = [busy_watch, idle_watch, ended_watch];
        let mut sampler = Sampler::new(&watched, &allowed, &[], Instant::now());
        // Other processes may compete for the core, so wait for CPU time, not for a number of samples.
        let total = |of: &[f64]| of.iter().sum::<f64>();
        while sampler.resources().seconds.len() < 3
            || total(&sampler.resources().processes[0].cpu) < 0.3
        {
            std::thread::sleep(Duration::from_millis(10));
            sampler.sample(Instant::now());
        }
        let resources = sampler.finish(Instant::now());
        busy.kill().unwrap();
        busy.wait().unwrap();
        drop(idle.stdin.take());
        idle.wait().unwrap();

        let samples = resources.seconds.len();
        let [busy, idle, ended] = &resources.processes[..] else {
            panic!("{resources:?}");
        };
        let busy_core = total(&resources.cores[0].busy);
        assert!(total(&busy.cpu) < 1.2 * samples as f64, "{busy:?}");
        assert!(busy_core > 0.5 * total(&busy.cpu), "{resources:?}");
        assert!(total(&idle.cpu) < 0.1 && idle.rss_mib[0] > 0.1, "{idle:?}");
        assert_eq!((total(&ended.cpu), &ended.held), (0.0, &None));
        assert_eq!(busy.held, Some(cores::show(&core)));
        assert_eq!(busy.held, busy.pinned);
        assert_eq!(idle.held, Some(cores::show(&allowed)));
        assert!(resources.stolen.len() == samples && resources.gpus.is_empty());
        assert!(resources.seconds.is_sorted());
    }
}
