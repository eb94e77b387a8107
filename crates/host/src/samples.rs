//! What a point uses of the machine while it is under load, read from the kernel and the GPUs' driver about twice a
//! second.

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
pub use counters::Watched;

use counters::{Counters, ProcessCounters, Source};
use gpus::Gpus;

/// The shortest time between two samples: the kernel counts time in ticks, of which it has a hundred a second.
const PERIOD: Duration = Duration::from_millis(500);

/// Takes samples of processes, cores and GPUs. What cannot be read, a process that has ended for instance, uses
/// nothing.
#[derive(Debug)]
pub struct Sampler {
    began: Instant,
    source: Source,
    gpus: Gpus,
    groups: ControlGroups,
    throttled: Option<Duration>,
    last: (Instant, Counters),
    /// The cores that each process was seen on.
    held: Vec<BTreeSet<usize>>,
    resources: Resources,
}

impl Sampler {
    /// Begins at `now`. `gpus` are numbers as the model servers have them: they count those that CUDA may see.
    pub fn new(watched: &[Watched], cores: &[usize], gpus: &[u32], now: Instant) -> Sampler {
        let groups = ControlGroups::read(Path::new("/"));
        let source = Source::open(watched, cores);
        let gpus = Gpus::open(gpus);
        Sampler {
            began: now,
            throttled: groups.throttled(),
            last: (now, source.read()),
            held: vec![BTreeSet::new(); watched.len()],
            resources: Resources {
                processes: watched.iter().map(process_use).collect(),
                cores: cores.iter().map(|&core| core_use(core)).collect(),
                gpus: gpus.described(),
                ..Resources::default()
            },
            source,
            gpus,
            groups,
        }
    }

    /// Takes a sample, if the last one is half a second old.
    pub fn sample(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last.0) >= PERIOD {
            self.take(now);
        }
    }

    /// What has been seen until now.
    pub fn seen(&self) -> &Resources {
        &self.resources
    }

    /// Takes the last sample, and says which cores each process was seen on in all of them.
    pub fn finish(mut self, now: Instant) -> Resources {
        // What is much shorter says nothing.
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
            .push((now - self.began).as_secs_f64());
        add(&mut self.resources, &before, &self.last.1, seconds);
        self.gpus.sample(&mut self.resources.gpus);
    }
}

fn process_use(watched: &Watched) -> ProcessUse {
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

/// Adds what lies between two readings that are `seconds` apart. A counter that is missing or runs backwards is no use.
fn add(resources: &mut Resources, before: &Counters, after: &Counters, seconds: f64) {
    let per_second = |count: u64| count as f64 / seconds;
    let readings = before.processes.iter().zip(&after.processes);
    for (process, readings) in resources.processes.iter_mut().zip(readings) {
        let nothing = ProcessCounters::default();
        let (before, after) = match readings {
            (Some(before), Some(after)) => (before, after),
            _ => (&nothing, &nothing),
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

    fn counters(processes: &[Option<ProcessCounters>], cores: &[CoreCounters]) -> Counters {
        Counters {
            processes: processes.to_vec(),
            cores: cores.to_vec(),
        }
    }

    /// What two readings two seconds apart make of one process and one core each.
    fn added(before: &Counters, after: &Counters) -> Resources {
        let mut resources = Resources {
            processes: vec![ProcessUse::default(); before.processes.len()],
            cores: vec![CoreUse::default(); before.cores.len()],
            ..Resources::default()
        };
        add(&mut resources, before, after, 2.0);
        resources
    }

    /// A process after so many seconds on a core, with threads by id and how often each waited and lost its core.
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
    fn use_is_the_difference_of_counters_over_the_time_between_them() {
        let before = counters(&[Some(process(1, &[(1, 100, 7)]))], &[]);
        let after = counters(&[Some(process(4, &[(1, 300, 8)]))], &[]);
        let resources = added(&before, &after);
        let process = &resources.processes[0];
        assert_eq!((process.cpu[0], process.rss_mib[0]), (1.5, 4.0));
        assert_eq!(process.voluntary_switches, [100.0]);
        assert_eq!(process.involuntary_switches, [0.5]);
    }

    #[test]
    fn switches_are_those_of_each_thread_whether_others_came_or_went() {
        let before = counters(&[Some(process(0, &[(1, 10, 0), (2, 5000, 900)]))], &[]);
        let after = counters(&[Some(process(0, &[(1, 20, 0), (3, 30, 4)]))], &[]);
        let process = &added(&before, &after).processes[0];
        assert_eq!(process.voluntary_switches, [20.0]);
        assert_eq!(process.involuntary_switches, [2.0]);
    }

    #[test]
    fn a_process_that_ended_and_a_counter_that_ran_backwards_use_nothing() {
        let some = process(5, &[(1, 100, 7)]);
        let less = process(4, &[(1, 90, 7)]);
        let before = counters(&[Some(some.clone()), Some(some.clone()), None], &[]);
        let after = counters(&[None, Some(less), Some(some)], &[]);
        let processes = added(&before, &after).processes;
        assert_eq!(processes.iter().map(|p| p.cpu[0]).sum::<f64>(), 0.0);
        assert_eq!(processes[0].rss_mib, [0.0]);
        assert_eq!(processes[1].voluntary_switches, [0.0]);
        assert_eq!(processes[2].voluntary_switches, [0.0]);
    }

    #[test]
    fn a_core_works_when_it_neither_idles_nor_is_stolen() {
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
        let resources = added(&before, &after);
        let busy: Vec<_> = resources.cores.iter().map(|core| core.busy[0]).collect();
        assert_eq!(busy, [0.25, 1.0, 0.0]);
        assert_eq!(resources.stolen, [0.05]);
    }

    fn shell(script: &str, on: &[usize]) -> (Child, Watched) {
        let start = || {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).stdin(Stdio::piped()).spawn()
        };
        let child = cores::on(Some(on), start).flatten().unwrap();
        let watched = Watched {
            name: script.to_owned(),
            pid: child.id(),
            pinned: Some(on.to_vec()),
        };
        (child, watched)
    }

    #[test]
    fn a_busy_process_takes_time_and_an_idle_one_none_and_both_are_where_they_were_pinned() {
        let allowed = cores::allowed().unwrap();
        let core = vec![allowed[0]];
        let (mut busy, one) = shell("while :; do :; done", &core);
        let (mut idle, two) = shell("read line", &allowed);
        let (mut ended, three) = shell("exit", &allowed);
        ended.wait().unwrap();
        let began = Instant::now();
        let mut sampler = Sampler::new(&[one, two, three], &allowed, &[], began);
        // Others may want the core too, and much more than it does.
        let total = |of: &[f64]| of.iter().sum::<f64>();
        while sampler.seen().seconds.len() < 3 || total(&sampler.seen().processes[0].cpu) < 0.3 {
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
