//! CPU time of the load generator's threads: the clients, and ZeroMQ's I/O threads, which make the
//! system calls.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use procfs::process::{Process, Task};

use crate::stats::Span;

/// Name of the client threads.
pub(crate) const CLIENT: &str = "client";

/// Prefix of the names of ZeroMQ's threads.
const ZEROMQ: &str = "ZMQbg";

/// Time before the close of the window at which the last snapshot is due. A snapshot reads several
/// files, so few are taken: one when the window has opened, the others from here on.
const BEFORE_CLOSE: Duration = Duration::from_millis(350);

/// CPU times of the threads at two moments of the window.
#[derive(Debug, Default)]
pub(crate) struct ThreadCpuTimes {
    first: Option<CpuSnapshot>,
    last: Option<CpuSnapshot>,
}

#[derive(Debug)]
struct CpuSnapshot {
    at: Instant,
    /// CPU time in nanoseconds, by thread id.
    times: HashMap<i32, u64>,
}

impl ThreadCpuTimes {
    /// Takes a snapshot if one is due. Call it often.
    pub(crate) fn update(&mut self, span: &Span) {
        let now = Instant::now();
        if !span.contains(now) {
            return;
        }
        if self.first.is_none() {
            self.first = CpuSnapshot::take();
        } else if now + BEFORE_CLOSE >= span.closes {
            self.last = CpuSnapshot::take();
        }
    }

    /// Returns the CPU use of the busiest thread between the snapshots, in cores; zero without two
    /// snapshots.
    pub(crate) fn busiest(&self) -> f64 {
        let (Some(first), Some(last)) = (&self.first, &self.last) else {
            return 0.0;
        };
        let elapsed = (last.at - first.at).as_nanos() as f64;
        let used = last.times.iter().filter_map(|(thread, nanos)| {
            let before = first.times.get(thread)?;
            Some(nanos.saturating_sub(*before) as f64 / elapsed)
        });
        used.fold(0.0, f64::max)
    }
}

impl CpuSnapshot {
    fn take() -> Option<CpuSnapshot> {
        let tasks = Process::myself().ok()?.tasks().ok()?;
        Some(CpuSnapshot {
            at: Instant::now(),
            times: tasks.filter_map(|task| cpu_time(&task.ok()?)).collect(),
        })
    }
}

/// Returns the id and CPU time of a client or ZeroMQ thread; `None` for other threads.
fn cpu_time(task: &Task) -> Option<(i32, u64)> {
    let name = fs::read_to_string(format!("/proc/self/task/{}/comm", task.tid)).ok()?;
    let ours = name.trim() == CLIENT || name.starts_with(ZEROMQ);
    let time = ours.then(|| task.schedstat().ok())??;
    Some((task.tid, time.sum_exec_runtime))
}
