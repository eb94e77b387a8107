//! Which cores are threads of one physical core, and which NUMA node each belongs to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{Cores, parse};

/// Where the machine's cores are. A core of which nothing is known is a physical core of its own, on node 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The lowest-numbered thread of each core's physical core.
    first_threads: BTreeMap<usize, usize>,
    nodes: BTreeMap<usize, usize>,
}

impl Topology {
    /// Reads `sys/devices/system` under `root`, which is `/` but in tests. What is not there is not known.
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

    /// The physical core of a core: two threads of one have the same.
    pub fn physical(&self, core: usize) -> usize {
        self.first_threads.get(&core).copied().unwrap_or(core)
    }

    /// The NUMA node of a core.
    pub fn node(&self, core: usize) -> usize {
        self.nodes.get(&core).copied().unwrap_or(0)
    }

    /// The physical cores of `cores`.
    pub fn physicals(&self, cores: &[usize]) -> BTreeSet<usize> {
        cores.iter().map(|&core| self.physical(core)).collect()
    }
}

/// The folders `<prefix><number>` in `folder`.
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

    /// A machine whose physical cores have these threads, on the node that stands before them.
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
        // What else lies there.
        write(system.join("cpu/cpufreq/boost"), "1\n");
        write(system.join("cpu/online"), "0\n");
        Topology::read(root.path())
    }

    #[test]
    fn threads_of_one_physical_core_and_nodes_are_as_the_kernel_lists_them() {
        let machine = machine(&[(0, &[0, 4]), (0, &[1, 5]), (1, &[2, 6]), (1, &[3, 7])]);
        assert_eq!(machine.physical(6), 2);
        assert_eq!(machine.physicals(&[0, 4, 5]), BTreeSet::from([0, 1]));
        assert_eq!([0, 5, 2, 7].map(|core| machine.node(core)), [0, 0, 1, 1]);
    }

    #[test]
    fn where_the_kernel_tells_nothing_every_core_is_one_of_its_own() {
        let nothing = Topology::read(Path::new("/nowhere"));
        assert_eq!(nothing, Topology::default());
        assert_eq!((nothing.physical(3), nothing.node(3)), (3, 0));
    }
}
