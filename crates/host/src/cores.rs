//! CPU cores: core lists, their allocation, and the pinning of threads and processes.

mod allocation;
mod sharing;
mod topology;

pub use allocation::{Allocation, Allocator, CoreRequest};
pub use sharing::Sharing;
pub use topology::Topology;

use std::{collections::BTreeSet, fs, io};

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use crate::{Error, InvalidCoreList};

/// Core numbers, ascending and unique.
pub type Cores = Vec<usize>;

/// Parses core lists: `20 21`, `20-23`, `20,21`, and any mixture.
///
/// # Errors
/// Names the item that is neither a number nor a range.
pub fn parse(pieces: &[String]) -> Result<Cores, InvalidCoreList> {
    let mut cores = BTreeSet::new();
    let pieces = pieces.iter().flat_map(|piece| piece.split([',', ' ']));
    for piece in pieces.map(str::trim).filter(|piece| !piece.is_empty()) {
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) if first <= last && last < CpuSet::MAX_CPU => {
                cores.extend(first..=last);
            }
            _ => return Err(InvalidCoreList(piece.to_owned())),
        }
    }
    Ok(cores.into_iter().collect())
}

/// Formats a core list as the kernel does: `0-3,6`.
pub fn show(cores: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &core in cores {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == core => *last = core,
            _ => ranges.push((core, core)),
        }
    }
    let ranges: Vec<_> = ranges
        .into_iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        })
        .collect();
    ranges.join(",")
}

/// Returns the cores that this process may use.
///
/// # Errors
/// `Affinity` if the kernel does not return them.
pub fn allowed() -> Result<Cores, Error> {
    let set = sched_getaffinity(None).map_err(io::Error::from)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .collect())
}

/// Returns the cores that the kernel allows process `pid` to run on.
///
/// # Errors
/// If the process has exited, or its status cannot be read.
pub fn of_process(pid: u32) -> io::Result<Cores> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .ok_or_else(|| io::Error::other("/proc/PID/status has no Cpus_allowed_list"))?;
    parse(&[list.to_owned()]).map_err(io::Error::other)
}

/// Pins all threads of this process, and the threads and processes they start later, to `cores`.
///
/// # Errors
/// If the kernel refuses the cores.
pub fn pin_process(cores: &[usize]) -> io::Result<()> {
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?.file_name().into_string().ok();
        let thread = thread.and_then(|id| Pid::from_raw(id.parse().ok()?));
        sched_setaffinity(thread, &set(cores))?;
    }
    Ok(())
}

/// Runs `work` with the calling thread pinned to `cores`, if given; threads and processes that it starts
/// inherit them. Restores the thread's affinity afterwards.
///
/// # Errors
/// If the kernel refuses the cores.
pub fn run_on<T>(cores: Option<&[usize]>, work: impl FnOnce() -> T) -> io::Result<T> {
    let before = sched_getaffinity(None)?;
    sched_setaffinity(None, &cores.map_or(before, set))?;
    let result = work();
    sched_setaffinity(None, &before)?;
    Ok(result)
}

fn set(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pieces: &[&str]) -> Result<Cores, InvalidCoreList> {
        let pieces: Vec<_> = pieces.iter().map(|&piece| piece.to_owned()).collect();
        parse(&pieces)
    }

    #[test]
    fn parses_core_lists_in_every_notation() {
        for pieces in [
            &["20", "21", "22"][..],
            &["20-22"],
            &["20,21,22"],
            &["21 20", "22,22"],
            &["22", "20-21,"],
        ] {
            assert_eq!(list(pieces), Ok(vec![20, 21, 22]), "{pieces:?}");
        }
        assert_eq!(list(&[" ", ","]), Ok(vec![]));
    }

    #[test]
    fn names_the_invalid_item_of_a_list() {
        for piece in ["x", "3-1", "-1", "1-", "1024", "0-99999999999"] {
            assert_eq!(list(&["0", piece]), Err(InvalidCoreList(piece.to_owned())));
        }
    }

    #[test]
    fn formats_cores_as_the_kernel_does() {
        assert_eq!(show(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(show(&[]), "");
    }

    #[test]
    fn a_started_process_is_pinned_and_the_caller_is_not() {
        let before = allowed().unwrap();
        let last = vec![*before.last().unwrap()];
        let start = || {
            let mut cat = std::process::Command::new("cat");
            cat.stdin(std::process::Stdio::piped()).spawn()
        };
        let mut child = run_on(Some(&last), start).flatten().unwrap();
        assert_eq!(of_process(child.id()).unwrap(), last);
        assert_eq!(allowed().unwrap(), before);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
