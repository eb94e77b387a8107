//! CPU cores: lists as a user writes them, who gets which, and threads and processes that stay on theirs.

mod allocation;
mod sharing;
mod topology;

pub use allocation::{Allocation, Allocator, CoreRequest};
pub use sharing::Sharing;
pub use topology::Topology;

use std::{collections::BTreeSet, fs, io};

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use crate::{Error, NotACore};

/// Core numbers, ascending, each once.
pub type Cores = Vec<usize>;

/// Reads core lists: `20 21`, `20-23`, `20,21`, and any mixture.
///
/// # Errors
/// Names the piece that is neither a number nor a range.
pub fn parse(pieces: &[String]) -> Result<Cores, NotACore> {
    let mut cores = BTreeSet::new();
    let pieces = pieces.iter().flat_map(|piece| piece.split([',', ' ']));
    for piece in pieces.map(str::trim).filter(|piece| !piece.is_empty()) {
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) if first <= last && last < CpuSet::MAX_CPU => {
                cores.extend(first..=last);
            }
            _ => return Err(NotACore(piece.to_owned())),
        }
    }
    Ok(cores.into_iter().collect())
}

/// Writes a core list as the kernel does: `0-3,6`.
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

/// The cores that this process may use.
///
/// # Errors
/// `Affinity` if the kernel does not say.
pub fn allowed() -> Result<Cores, Error> {
    let set = sched_getaffinity(None).map_err(io::Error::from)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|&core| set.is_set(core))
        .collect())
}

/// The cores that the kernel lets process `pid` run on.
///
/// # Errors
/// If the process has ended, or its status cannot be read.
pub fn of_process(pid: u32) -> io::Result<Cores> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .ok_or_else(|| io::Error::other("no Cpus_allowed_list in its status"))?;
    parse(&[list.to_owned()]).map_err(io::Error::other)
}

/// Confines all threads of this process, and what they start from now on, to `cores`.
///
/// # Errors
/// If the kernel refuses the cores.
pub fn confine_process(cores: &[usize]) -> io::Result<()> {
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?.file_name().into_string().ok();
        let thread = thread.and_then(|id| Pid::from_raw(id.parse().ok()?));
        sched_setaffinity(thread, &set(cores))?;
    }
    Ok(())
}

/// Does `work` with the calling thread confined to `cores`, if they are given: threads and processes that it starts
/// inherit them. Then the thread is where it was before.
///
/// # Errors
/// If the kernel refuses the cores.
pub fn on<T>(cores: Option<&[usize]>, work: impl FnOnce() -> T) -> io::Result<T> {
    let before = sched_getaffinity(None)?;
    sched_setaffinity(None, &cores.map_or(before, set))?;
    let done = work();
    sched_setaffinity(None, &before)?;
    Ok(done)
}

fn set(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pieces: &[&str]) -> Result<Cores, NotACore> {
        let pieces: Vec<_> = pieces.iter().map(|&piece| piece.to_owned()).collect();
        parse(&pieces)
    }

    #[test]
    fn core_lists_are_read_in_every_notation() {
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
    fn what_is_no_core_is_named() {
        for piece in ["x", "3-1", "-1", "1-", "1024", "0-99999999999"] {
            assert_eq!(list(&["0", piece]), Err(NotACore(piece.to_owned())));
        }
    }

    #[test]
    fn cores_are_written_as_the_kernel_writes_them() {
        assert_eq!(show(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(show(&[]), "");
    }

    #[test]
    fn a_process_started_on_a_core_stays_there_and_the_caller_stays_free() {
        let before = allowed().unwrap();
        let last = vec![*before.last().unwrap()];
        let start = || {
            let mut cat = std::process::Command::new("cat");
            cat.stdin(std::process::Stdio::piped()).spawn()
        };
        let mut child = on(Some(&last), start).flatten().unwrap();
        assert_eq!(of_process(child.id()).unwrap(), last);
        assert_eq!(allowed().unwrap(), before);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
