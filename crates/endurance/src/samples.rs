//! Memory, file descriptors and threads of processes over time.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use anyhow::Context;
use loadgen::stats::interval;
use procfs::process::Process;

/// Resources that a process holds at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessUsage {
    /// Resident memory, in bytes.
    pub rss: u64,
    /// Proportional set size, in bytes: shared pages are divided among their processes. Zero if the kernel does
    /// not report it.
    pub pss: u64,
    /// Number of open file descriptors.
    pub fds: u64,
    /// Number of threads.
    pub threads: u64,
}

impl ProcessUsage {
    /// Reads the usage of a process.
    ///
    /// # Errors
    /// If the process has exited.
    pub fn read(pid: u32) -> anyhow::Result<ProcessUsage> {
        let read = || -> procfs::ProcResult<ProcessUsage> {
            let process = Process::new(pid.cast_signed())?;
            let stat = process.stat()?;
            let rollup = process.smaps_rollup().ok();
            let maps = rollup
                .map(|rollup| rollup.memory_map_rollup.0)
                .unwrap_or_default();
            let pss = maps.iter().filter_map(|map| map.extension.map.get("Pss"));
            Ok(ProcessUsage {
                rss: stat.rss * procfs::page_size(),
                pss: pss.sum(),
                fds: process.fd_count()? as u64,
                threads: u64::try_from(stat.num_threads).unwrap_or_default(),
            })
        };
        read().with_context(|| format!("cannot read the resources of process {pid}"))
    }

    /// Returns the maximum of each value.
    pub fn max(&self, other: &ProcessUsage) -> ProcessUsage {
        ProcessUsage {
            rss: self.rss.max(other.rss),
            pss: self.pss.max(other.pss),
            fds: self.fds.max(other.fds),
            threads: self.threads.max(other.threads),
        }
    }

    /// Describes each value that exceeds `baseline` by more than the margin.
    pub fn excess(&self, baseline: &ProcessUsage, margin: GrowthMargin) -> Vec<String> {
        let mut excess = Vec::new();
        if self.rss > margin.max_rss(baseline.rss) {
            excess.push(format!(
                "memory {}, before {}",
                Mib(self.rss),
                Mib(baseline.rss)
            ));
        }
        if self.fds > baseline.fds + margin.count {
            excess.push(format!(
                "file descriptors {}, before {}",
                self.fds, baseline.fds
            ));
        }
        if self.threads > baseline.threads + margin.count {
            excess.push(format!(
                "threads {}, before {}",
                self.threads, baseline.threads
            ));
        }
        excess
    }
}

/// Allowed growth of a process over its baseline.
#[derive(Clone, Copy, Debug)]
pub struct GrowthMargin {
    /// Memory, in bytes.
    bytes: u64,
    /// Additional memory, in percent of the baseline.
    percent: u64,
    /// Number of file descriptors, and of threads.
    count: u64,
}

impl GrowthMargin {
    /// Margin of a process under constant load.
    pub const STEADY: GrowthMargin = GrowthMargin {
        bytes: 4 << 20,
        percent: 5,
        count: 8,
    };

    /// Margin of a process after long queues, of whose memory the allocator keeps some: up to 30 MiB
    /// in the frontend, since it sheds queries.
    pub const PEAKS: GrowthMargin = GrowthMargin {
        bytes: 48 << 20,
        percent: 25,
        count: 8,
    };

    /// Maximum resident memory, in bytes.
    fn max_rss(&self, baseline: u64) -> u64 {
        baseline + self.bytes + baseline * self.percent / 100
    }
}

impl fmt::Display for GrowthMargin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GrowthMargin {
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

/// A number of bytes, displayed in MiB.
pub struct Mib(pub u64);

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0 as f64 / f64::from(1 << 20))
    }
}

/// Samples of processes that run for the whole time.
#[derive(Clone, Debug, Default)]
pub struct ProcessSamples {
    /// Time of each sample since the start.
    times: Vec<Duration>,
    /// Samples of each process, by name.
    usage: BTreeMap<String, Vec<ProcessUsage>>,
}

impl ProcessSamples {
    /// Takes a sample of each process.
    pub fn take<'a>(
        &mut self,
        at: Duration,
        processes: impl Iterator<Item = (&'a str, u32)>,
    ) -> anyhow::Result<()> {
        self.times.push(at);
        for (name, pid) in processes {
            let usage = ProcessUsage::read(pid).with_context(|| format!("{name} has exited"))?;
            self.usage.entry(name.to_owned()).or_default().push(usage);
        }
        Ok(())
    }

    /// Describes each process whose median of the last quarter exceeds that of the second by more than the
    /// margin for steady load. The first quarter is warm-up.
    pub fn growth(&self) -> Vec<String> {
        let describe = |(name, held): (&String, &Vec<ProcessUsage>)| {
            let (second, last) = (quarter(held, 1), quarter(held, 3));
            let excess = median(last).excess(&median(second), GrowthMargin::STEADY);
            excess
                .into_iter()
                .map(move |excess| format!("{name} grows: {excess}"))
                .collect::<Vec<_>>()
        };
        self.usage.iter().flat_map(describe).collect()
    }

    /// Returns the series of each process.
    pub fn series(&self) -> impl Iterator<Item = SampleSeries<'_>> {
        self.usage.iter().map(|(name, held)| SampleSeries {
            name,
            second: median(quarter(held, 1)),
            last: median(quarter(held, 3)),
            sparkline: sparkline(&held.iter().map(|held| held.rss).collect::<Vec<_>>()),
        })
    }

    /// Writes all samples to a CSV file, with a row per sample and process.
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
            for (name, held) in &self.usage {
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

/// Summary of a process over time.
pub struct SampleSeries<'a> {
    /// Name of the process.
    pub name: &'a str,
    /// Medians of the second quarter.
    pub second: ProcessUsage,
    /// Medians of the last quarter.
    pub last: ProcessUsage,
    /// Resident memory over time, on a scale from zero.
    pub sparkline: String,
}

/// Returns the samples of a quarter, counted from zero.
fn quarter(held: &[ProcessUsage], number: usize) -> &[ProcessUsage] {
    &held[held.len() * number / 4..held.len() * (number + 1) / 4]
}

/// Returns the median of each value.
fn median(held: &[ProcessUsage]) -> ProcessUsage {
    let of = |value: fn(&ProcessUsage) -> u64| {
        let values: Vec<_> = held.iter().map(|held| value(held) as f64).collect();
        interval::median(&values).unwrap_or_default() as u64
    };
    ProcessUsage {
        rss: of(|held| held.rss),
        pss: of(|held| held.pss),
        fds: of(|held| held.fds),
        threads: of(|held| held.threads),
    }
}

/// Draws at most 60 bars, each the maximum of its part, scaled to the overall maximum.
fn sparkline(values: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let max = values.iter().max().copied().unwrap_or_default().max(1);
    let parts = values.chunks(values.len().div_ceil(60).max(1));
    let maxima = parts.filter_map(|part| part.iter().max());
    maxima
        .map(|value| BARS[(value * (BARS.len() as u64 - 1) / max) as usize])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(rss_mib: impl Iterator<Item = u64>, fds: u64) -> ProcessSamples {
        let held: Vec<ProcessUsage> = rss_mib
            .enumerate()
            .map(|(index, mib)| ProcessUsage {
                rss: mib << 20,
                pss: 0,
                fds: 10 + fds * index as u64 / 100,
                threads: 3,
            })
            .collect();
        ProcessSamples {
            times: held.iter().map(|_| Duration::ZERO).collect(),
            usage: [("frontend".to_owned(), held)].into(),
        }
    }

    #[test]
    fn warm_up_and_a_peak_are_not_growth() {
        let warming = (0..100).map(|index| if index < 20 { index } else { 20 });
        assert_eq!(samples(warming, 0).growth(), [""; 0]);
        let peak = (0..100).map(|index| if index == 90 { 500 } else { 20 });
        assert_eq!(samples(peak, 0).growth(), [""; 0]);
    }

    #[test]
    fn slow_increase_is_growth() {
        let found = samples((0..100).map(|index| 100 + index / 3), 0).growth();
        assert_eq!(
            found,
            ["frontend grows: memory 129.0 MiB, before 112.0 MiB"]
        );
        let found = samples((0..100).map(|_| 100), 40).growth();
        assert_eq!(found, ["frontend grows: file descriptors 44, before 24"]);
    }

    #[test]
    fn reads_the_usage_of_this_process() {
        let held = ProcessUsage::read(std::process::id()).unwrap();
        assert!(
            held.rss > 1 << 20 && held.pss > 0 && held.pss <= held.rss,
            "{held:?}"
        );
        assert!(held.fds >= 3 && held.threads >= 1);
        assert!(ProcessUsage::read(u32::MAX >> 1).is_err());
    }

    #[test]
    fn sparkline_is_scaled_to_the_maximum() {
        assert_eq!(sparkline(&[0, 7, 14]), "▁▄█");
        assert_eq!(sparkline(&[5; 240]).chars().count(), 60);
        assert_eq!(sparkline(&[]), "");
    }
}
