//! What the load generator takes of its cores: its client threads, and ZeroMQ's, which do the system calls.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use procfs::process::{Process, Task};

use crate::stats::Span;

/// The name of client threads.
pub(crate) const CLIENT: &str = "client";

/// ZeroMQ's names begin with this.
const ZEROMQ: &str = "ZMQbg";

/// A look reads some files, so it is taken only when the window has opened, and this long before it closes.
const LAST: Duration = Duration::from_millis(350);

/// CPU time of threads at two moments.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    first: Option<Look>,
    last: Option<Look>,
}

#[derive(Debug)]
struct Look {
    at: Instant,
    /// Nanoseconds on a core, by thread.
    times: HashMap<i32, u64>,
}

impl Threads {
    /// Call it often: it looks when the window has opened, and then shortly before it closes.
    pub(crate) fn look(&mut self, span: &Span) {
        let now = Instant::now();
        if !span.contains(now) {
            return;
        }
        if self.first.is_none() {
            self.first = Look::take();
        } else if now + LAST >= span.closes {
            self.last = Look::take();
        }
    }

    /// The cores' worth of time between the looks that the busiest thread took; zero without two looks.
    pub(crate) fn busiest(&self) -> f64 {
        let (Some(first), Some(last)) = (&self.first, &self.last) else {
            return 0.0;
        };
        let time = (last.at - first.at).as_nanos() as f64;
        let taken = last.times.iter().filter_map(|(thread, nanos)| {
            let before = first.times.get(thread)?;
            Some(nanos.saturating_sub(*before) as f64 / time)
        });
        taken.fold(0.0, f64::max)
    }
}

impl Look {
    fn take() -> Option<Look> {
        let tasks = Process::myself().ok()?.tasks().ok()?;
        Some(Look {
            at: Instant::now(),
            times: tasks.filter_map(|task| time(&task.ok()?)).collect(),
        })
    }
}

/// The time of a thread, if it is one of those that send and receive.
fn time(task: &Task) -> Option<(i32, u64)> {
    let name = fs::read_to_string(format!("/proc/self/task/{}/comm", task.tid)).ok()?;
    let ours = name.trim() == CLIENT || name.starts_with(ZEROMQ);
    let time = ours.then(|| task.schedstat().ok())??;
    Some((task.tid, time.sum_exec_runtime))
}
