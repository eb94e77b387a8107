//! What processes hold: memory, file descriptors and threads, over time.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use anyhow::Context;
use loadgen::stats::interval;
use procfs::process::Process;

/// What a process holds at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Resident memory, in bytes.
    pub rss: u64,
    /// Its share of it, in bytes: pages that others have too count in part. Zero if the kernel does not tell.
    pub pss: u64,
    /// Open file descriptors.
    pub fds: u64,
    /// Threads.
    pub threads: u64,
}

impl Held {
    /// Looks at a process.
    ///
    /// # Errors
    /// If it has ended.
    pub fn of(pid: u32) -> anyhow::Result<Held> {
        let read = || -> procfs::ProcResult<Held> {
            let process = Process::new(pid.cast_signed())?;
            let stat = process.stat()?;
            let rollup = process.smaps_rollup().ok();
            let maps = rollup
                .map(|rollup| rollup.memory_map_rollup.0)
                .unwrap_or_default();
            let pss = maps.iter().filter_map(|map| map.extension.map.get("Pss"));
            Ok(Held {
                rss: stat.rss * procfs::page_size(),
                pss: pss.sum(),
                fds: process.fd_count()? as u64,
                threads: u64::try_from(stat.num_threads).unwrap_or_default(),
            })
        };
        read().with_context(|| format!("cannot look at process {pid}"))
    }

    /// The larger of each.
    pub fn most(&self, other: &Held) -> Held {
        Held {
            rss: self.rss.max(other.rss),
            pss: self.pss.max(other.pss),
            fds: self.fds.max(other.fds),
            threads: self.threads.max(other.threads),
        }
    }

    /// What of this lies beyond `level` by more than the margin, in words.
    pub fn beyond(&self, level: &Held, margin: Margin) -> Vec<String> {
        let mut beyond = Vec::new();
        if self.rss > margin.rss(level.rss) {
            beyond.push(format!("memory {} after {}", Mib(self.rss), Mib(level.rss)));
        }
        if self.fds > level.fds + margin.count {
            beyond.push(format!("file descriptors {} after {}", self.fds, level.fds));
        }
        if self.threads > level.threads + margin.count {
            beyond.push(format!("threads {} after {}", self.threads, level.threads));
        }
        beyond
    }
}

/// What a process may hold beyond its level.
#[derive(Clone, Copy, Debug)]
pub struct Margin {
    /// Memory, in bytes.
    bytes: u64,
    /// And so many percent of the level.
    percent: u64,
    /// File descriptors; threads.
    count: u64,
}

impl Margin {
    /// Of a process whose load does not change.
    pub const STEADY: Margin = Margin {
        bytes: 4 << 20,
        percent: 5,
        count: 8,
    };

    /// Of a process after load with long queues: the allocator keeps some of what they took.
    pub const PEAKS: Margin = Margin {
        bytes: 16 << 20,
        percent: 25,
        count: 8,
    };

    fn rss(&self, level: u64) -> u64 {
        level + self.bytes + level * self.percent / 100
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Margin {
            bytes,
            percent,
            count,
        } = self;
        write!(
            f,
            "{} and {percent} % of memory, {count} file descriptors, {count} threads",
            Mib(*bytes)
        )
    }
}

/// Bytes, shown in MiB.
pub struct Mib(pub u64);

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0 as f64 / f64::from(1 << 20))
    }
}

/// Samples of processes that all live as long as the sampling.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// When each was taken, since the beginning.
    times: Vec<Duration>,
    /// By process.
    held: BTreeMap<String, Vec<Held>>,
}

impl Samples {
    /// Takes one of each.
    pub fn take<'a>(
        &mut self,
        at: Duration,
        processes: impl Iterator<Item = (&'a str, u32)>,
    ) -> anyhow::Result<()> {
        self.times.push(at);
        for (name, pid) in processes {
            let held = Held::of(pid).with_context(|| format!("{name} is gone"))?;
            self.held.entry(name.to_owned()).or_default().push(held);
        }
        Ok(())
    }

    /// Processes that hold more in the last quarter than in the second, by the medians and beyond the margin for steady
    /// load; the first quarter is warm-up. A line each.
    pub fn growth(&self) -> Vec<String> {
        let grown = |(name, held): (&String, &Vec<Held>)| {
            let (second, last) = (quarter(held, 1), quarter(held, 3));
            let beyond = median(last).beyond(&median(second), Margin::STEADY);
            beyond
                .into_iter()
                .map(move |what| format!("{name} grows: {what}"))
                .collect::<Vec<_>>()
        };
        self.held.iter().flat_map(grown).collect()
    }

    /// Each process with its medians of the second and the last quarter, and the curve of its memory.
    pub fn curves(&self) -> impl Iterator<Item = Curve<'_>> {
        self.held.iter().map(|(name, held)| Curve {
            name,
            second: median(quarter(held, 1)),
            last: median(quarter(held, 3)),
            sparkline: sparkline(&held.iter().map(|held| held.rss).collect::<Vec<_>>()),
        })
    }

    /// Writes all of them to a file, a row per sample and process.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let write = || -> csv::Result<()> {
            let mut rows = csv::Writer::from_path(file)?;
            rows.write_record([
                "seconds",
                "process",
                "rss_bytes",
                "pss_bytes",
                "fds",
                "threads",
            ])?;
            for (name, held) in &self.held {
                for (time, held) in self.times.iter().zip(held) {
                    let seconds = format!("{:.1}", time.as_secs_f64());
                    let numbers =
                        [held.rss, held.pss, held.fds, held.threads].map(|n| n.to_string());
                    let [rss, pss, fds, threads] = numbers;
                    rows.write_record([seconds, name.clone(), rss, pss, fds, threads])?;
                }
            }
            Ok(rows.flush()?)
        };
        write().with_context(|| format!("cannot write {}", file.display()))
    }
}

/// A process over time.
pub struct Curve<'a> {
    /// Its name.
    pub name: &'a str,
    /// The median of the second quarter.
    pub second: Held,
    /// The median of the last quarter.
    pub last: Held,
    /// Its memory, from zero.
    pub sparkline: String,
}

fn quarter(held: &[Held], number: usize) -> &[Held] {
    &held[held.len() * number / 4..held.len() * (number + 1) / 4]
}

/// Of each number by itself.
fn median(held: &[Held]) -> Held {
    let of = |number: fn(&Held) -> u64| {
        let numbers: Vec<_> = held.iter().map(|held| number(held) as f64).collect();
        interval::median(&numbers).unwrap_or_default() as u64
    };
    Held {
        rss: of(|held| held.rss),
        pss: of(|held| held.pss),
        fds: of(|held| held.fds),
        threads: of(|held| held.threads),
    }
}

/// 60 bars at most, each the largest of its part; the whole height is the largest of all.
fn sparkline(values: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().max().copied().unwrap_or_default().max(1);
    let parts = values.chunks(values.len().div_ceil(60).max(1));
    let largest = parts.filter_map(|part| part.iter().max());
    largest
        .map(|value| BARS[(value * (BARS.len() as u64 - 1) / most) as usize])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(rss_mib: impl Iterator<Item = u64>, fds: u64) -> Samples {
        let held: Vec<Held> = rss_mib
            .enumerate()
            .map(|(index, mib)| Held {
                rss: mib << 20,
                pss: 0,
                fds: 10 + fds * index as u64 / 100,
                threads: 3,
            })
            .collect();
        Samples {
            times: held.iter().map(|_| Duration::ZERO).collect(),
            held: [("frontend".to_owned(), held)].into(),
        }
    }

    #[test]
    fn warm_up_and_a_peak_are_no_growth() {
        let warming = (0..100).map(|index| if index < 20 { index } else { 20 });
        assert_eq!(samples(warming, 0).growth(), [""; 0]);
        let peak = (0..100).map(|index| if index == 90 { 500 } else { 20 });
        assert_eq!(samples(peak, 0).growth(), [""; 0]);
    }

    #[test]
    fn what_rises_slowly_grows() {
        let found = samples((0..100).map(|index| 100 + index / 3), 0).growth();
        assert_eq!(found, ["frontend grows: memory 129.0 MiB after 112.0 MiB"]);
        let found = samples((0..100).map(|_| 100), 40).growth();
        assert_eq!(found, ["frontend grows: file descriptors 44 after 24"]);
    }

    #[test]
    fn this_process_holds_something() {
        let held = Held::of(std::process::id()).unwrap();
        assert!(
            held.rss > 1 << 20 && held.pss > 0 && held.pss <= held.rss,
            "{held:?}"
        );
        assert!(held.fds >= 3 && held.threads >= 1);
        assert!(Held::of(u32::MAX >> 1).is_err());
    }

    #[test]
    fn a_curve_has_the_height_of_the_largest_value() {
        assert_eq!(sparkline(&[0, 7, 14]), "▁▄█");
        assert_eq!(sparkline(&[5; 240]).chars().count(), 60);
        assert_eq!(sparkline(&[]), "");
    }
}
