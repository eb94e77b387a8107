//! Topology: the physical core and the NUMA node of each core.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{Cores, parse};

/// Physical core and NUMA node of each core. An unknown core counts as a physical core of its own, on
/// node 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Lowest-numbered hardware thread of each core's physical core.
    first_threads: BTreeMap<usize, usize>,
    /// NUMA node of each core.
    nodes: BTreeMap<usize, usize>,
}

impl Topology {
    /// Reads `sys/devices/system` under `root`, which is `/` except in tests.
    pub fn read(root: &Path) -> Topology {
        let system = root.join("sys/devices/system");
        let cores = numbered(&system.join("cpu"), "cpu");
        let first_threads = cores.filter_map(|(core, folder)| {
            let threads = list(&folder.join("topology/thread_siblings_list"))?;
            Some((core, *threads.first()?))
        });
        let nodes = numbered(&system.join("node"), "node");
        let nodes = nodes.flat_map(|(node, folder)| {
            let cores = list(&folder.join("cpulist")).unwrap_or_default();
            cores.into_iter().map(move |core| (core, node))
        });
        Topology {
            first_threads: first_threads.collect(),
            nodes: nodes.collect(),
        }
    }

    /// Returns the physical core of a core; sibling threads have the same one.
    pub fn physical(&self, core: usize) -> usize {
        self.first_threads.get(&core).copied().unwrap_or(core)
    }

    /// Returns the NUMA node of a core.
    pub fn node(&self, core: usize) -> usize {
        self.nodes.get(&core).copied().unwrap_or(0)
    }

    /// Returns the physical cores of `cores`.
    pub fn physicals(&self, cores: &[usize]) -> BTreeSet<usize> {
        cores.iter().map(|&core| self.physical(core)).collect()
    }
}

/// Lists the folders `<prefix><number>` in `folder`, with their numbers.
fn numbered(folder: &Path, prefix: &'static str) -> impl Iterator<Item = (usize, PathBuf)> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let name = entry.file_name().into_string().ok()?;
        Some((name.strip_prefix(prefix)?.parse().ok()?, entry.path()))
    })
}

fn list(file: &Path) -> Option<Cores> {
    parse(&[fs::read_to_string(file).ok()?]).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns the topology of a machine with these physical cores, given as NUMA node and threads.
    pub(crate) fn machine(physical: &[(usize, &[usize])]) -> Topology {
        let root = tempfile::tempdir().unwrap();
        let system = root.path().join("sys/devices/system");
        let write = |file: PathBuf, text: &str| {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let mut nodes: BTreeMap<usize, Cores> = BTreeMap::new();
        for &(node, threads) in physical {
            let siblings = format!("{}\n", super::super::show(threads));
            for core in threads {
                let file = format!("cpu/cpu{core}/topology/thread_siblings_list");
                write(system.join(file), &siblings);
            }
            nodes.entry(node).or_default().extend(threads);
        }
        for (node, cores) in nodes {
            let cores: Vec<_> = cores.iter().map(usize::to_string).collect();
            write(
                system.join(format!("node/node{node}/cpulist")),
                &format!("{}\n", cores.join(",")),
            );
        }
        // Other files of the folder, which are ignored.
        write(system.join("cpu/cpufreq/boost"), "1\n");
        write(system.join("cpu/online"), "0\n");
        Topology::read(root.path())
    }

    #[test]
    fn reads_sibling_threads_and_nodes_from_the_kernel() {
        let machine = machine(&[(0, &[0, 4]), (0, &[1, 5]), (1, &[2, 6]), (1, &[3, 7])]);
        assert_eq!(machine.physical(6), 2);
        assert_eq!(machine.physicals(&[0, 4, 5]), BTreeSet::from([0, 1]));
        assert_eq!([0, 5, 2, 7].map(|core| machine.node(core)), [0, 0, 1, 1]);
    }

    #[test]
    fn unknown_cores_are_physical_cores_of_their_own() {
        let unknown = Topology::read(Path::new("/nowhere"));
        assert_eq!(unknown, Topology::default());
        assert_eq!((unknown.physical(3), unknown.node(3)), (3, 0));
    }
}
