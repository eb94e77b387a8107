//! Allocation of cores to replicas, frontend and driver.
//!
//! Replicas come first. They get whole physical cores while there are any, and each replica stays on one
//! NUMA node where it fits. Frontend and driver get cores that no replica has in any config of the sweep,
//! so that configs differ only in their replicas. They use sibling threads of the replicas' physical
//! cores last.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Cores, Sharing, Topology, sharing::Role, show};
use crate::Error;

/// Cores that the frontend keeps for its engine, I/O and HTTP before the driver's main thread gets a core
/// of its own.
const FRONTEND_CORES: usize = 3;

/// Cores that the command line requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoreRequest<'a> {
    /// Cores for the replicas (`--model_cpus`); `None`: all that no other flag names.
    pub model: Option<&'a [usize]>,
    /// Cores per replica to try (`--cpus_per_replica_nums`); empty: an even share.
    pub per_replica: &'a [usize],
    /// Cores of the frontend (`--frontend_cpus`); `None`: some of the rest.
    pub frontend: Option<&'a [usize]>,
    /// Cores of the driver (`--client_cpus`); `None`: some of the rest.
    pub clients: Option<&'a [usize]>,
    /// Number of client threads of the driver.
    pub client_threads: usize,
}

/// Allocates the cores that this process may use.
#[derive(Clone, Copy, Debug)]
pub struct Allocator<'a> {
    request: CoreRequest<'a>,
    allowed: &'a [usize],
    topology: &'a Topology,
}

/// The cores of frontend and driver, the same in all trials of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Allocation {
    /// False if no flag requests cores: then nothing is pinned and all cores are shared.
    pub pinned: bool,
    /// Cores that the driver and its children may use.
    pub allowed: Cores,
    /// Cores of the frontend.
    pub frontend: Cores,
    /// Cores of the driver's client threads and their I/O.
    pub clients: Cores,
    /// Cores of the driver's main thread, which monitors the trial; the clients' if no others are free.
    pub watcher: Cores,
    #[serde(skip)]
    topology: Topology,
}

impl<'a> Allocator<'a> {
    /// Creates an allocator of the `allowed` cores, which must be ascending.
    ///
    /// # Errors
    /// `CoreNotAllowed` if a flag names a core that is not among them.
    pub fn new(
        request: CoreRequest<'a>,
        allowed: &'a [usize],
        topology: &'a Topology,
    ) -> Result<Allocator<'a>, Error> {
        for (flag, named) in [
            ("--model_cpus", request.model),
            ("--frontend_cpus", request.frontend),
            ("--client_cpus", request.clients),
        ] {
            let mut named = named.into_iter().flatten().copied();
            if let Some(core) = named.find(|core| !allowed.contains(core)) {
                return Err(Error::CoreNotAllowed {
                    flag,
                    core,
                    allowed: show(allowed),
                });
            }
        }
        Ok(Allocator {
            request,
            allowed,
            topology,
        })
    }

    /// Even share of the replicas' cores per replica, rounded down.
    pub fn even_share(&self, replicas: usize) -> usize {
        self.pool().len() / replicas
    }

    /// Returns the cores of each of `replicas` replicas: `share` exclusive ones each or, without flags that
    /// request cores for them, the same for all.
    ///
    /// # Errors
    /// `TooFewCores` if the replicas need more cores than are available to them.
    pub fn replicas(&self, replicas: usize, share: usize) -> Result<Vec<Cores>, Error> {
        let pool = self.pool();
        if !self.replicas_are_pinned() {
            return Ok(vec![pool; replicas]);
        }
        if share == 0 || replicas * share > pool.len() {
            return Err(Error::TooFewCores {
                replicas,
                share: share.max(1),
                needed: replicas * share.max(1),
                available: pool.len(),
                pool: show(&pool),
            });
        }
        let mut free = FreeCores::new(&pool, self.topology);
        Ok((0..replicas).map(|_| free.take(share)).collect())
    }

    /// Returns the cores of frontend and driver. `taken` are the cores of replicas over all configs.
    pub fn frontend_and_driver(&self, taken: &BTreeSet<usize>) -> Allocation {
        let (frontend_cpus, client_cpus) = (self.request.frontend, self.request.clients);
        let pinned = self.replicas_are_pinned() || frontend_cpus.is_some() || client_cpus.is_some();
        let free = match pinned {
            true => self.free(taken),
            false => Cores::new(),
        };
        let clients = client_cpus.map_or_else(|| self.clients(&free), <[usize]>::to_vec);
        let left = without(&free, &clients);
        let (watcher, left) = match client_cpus {
            None => self.watcher(&clients, left),
            Some(_) => (clients.clone(), left),
        };
        // Frontend and driver share a single free core; without one they share the replicas'.
        let fallback = match free.is_empty() {
            true => self.pool(),
            false => free,
        };
        let or_fallback = |cores: Cores| match cores.is_empty() {
            true => fallback.clone(),
            false => cores,
        };
        Allocation {
            pinned,
            allowed: self.allowed.to_vec(),
            frontend: or_fallback(frontend_cpus.map_or(left, <[usize]>::to_vec)),
            clients: or_fallback(clients),
            watcher: or_fallback(watcher),
            topology: self.topology.clone(),
        }
    }

    fn replicas_are_pinned(&self) -> bool {
        self.request.model.is_some() || !self.request.per_replica.is_empty()
    }

    /// Cores available to replicas: those of `--model_cpus`, else all that no other flag names.
    fn pool(&self) -> Cores {
        let rest = without(self.allowed, &self.named_for_others());
        match self.request.model {
            Some(named) => named.to_vec(),
            None if rest.is_empty() => self.allowed.to_vec(),
            None => rest,
        }
    }

    fn named_for_others(&self) -> Cores {
        let named = [self.request.frontend, self.request.clients];
        named.into_iter().flatten().flatten().copied().collect()
    }

    /// Cores that are neither taken nor named by a flag. Leaves out sibling threads of the replicas' physical
    /// cores if the rest is enough.
    fn free(&self, taken: &BTreeSet<usize>) -> Cores {
        let taken: Cores = taken.iter().copied().collect();
        let rest = without(&without(self.allowed, &taken), &self.named_for_others());
        let near = self.topology.physicals(&taken);
        let far = |core: &usize| !near.contains(&self.topology.physical(*core));
        let clean: Cores = rest.iter().copied().filter(far).collect();
        let named = [self.request.frontend, self.request.clients];
        let unnamed = named.iter().filter(|named| named.is_none()).count();
        match clean.len() < unnamed {
            true => rest,
            false => clean,
        }
    }

    /// Cores of the clients: one per client thread and one for their I/O, but at most half of the free ones
    /// if the frontend needs some, too.
    fn clients(&self, free: &[usize]) -> Cores {
        let limit = match self.request.frontend {
            None => (free.len() / 2).max(1),
            Some(_) => free.len(),
        };
        FreeCores::new(free, self.topology).take(limit.min(self.request.client_threads + 1))
    }

    /// Splits the cores that the clients have `left` into the watcher's and the rest. The watcher takes
    /// sibling threads of the clients' physical cores, or one core that the frontend can spare.
    fn watcher(&self, clients: &[usize], mut left: Cores) -> (Cores, Cores) {
        let near = self.topology.physicals(clients);
        let is_near = |core: &usize| near.contains(&self.topology.physical(*core));
        let (siblings, far): (Cores, Cores) = left.iter().partition(|core| is_near(core));
        if !siblings.is_empty() && !far.is_empty() {
            return (siblings, far);
        }
        let kept = match self.request.frontend {
            None => FRONTEND_CORES,
            Some(_) => 0,
        };
        match left.len() > kept {
            true => (left.split_off(left.len() - 1), left),
            false => (clients.to_vec(), left),
        }
    }
}

impl Allocation {
    /// Returns all cores of the driver.
    pub fn driver(&self) -> Cores {
        let cores = self.clients.iter().chain(&self.watcher).copied();
        cores.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Returns the overlaps with each other and with replicas on these cores.
    pub fn sharing(&self, replicas: &[Cores]) -> Sharing {
        if !self.pinned {
            return Sharing::Unpinned;
        }
        let driver = self.driver();
        let mut roles: Vec<(Role, &[usize])> =
            vec![(Role::Frontend, &self.frontend), (Role::Driver, &driver)];
        roles.extend(replicas.iter().map(|cores| (Role::Replica, &cores[..])));
        Sharing::among(&roles, &self.topology)
    }
}

fn without(cores: &[usize], others: &[usize]) -> Cores {
    let kept = cores.iter().filter(|core| !others.contains(core));
    kept.copied().collect()
}

/// Cores that are not allocated yet.
struct FreeCores {
    /// Physical cores, ordered by node, then number.
    physicals: Vec<PhysicalCore>,
}

/// The free threads of a physical core.
struct PhysicalCore {
    node: usize,
    threads: Cores,
    /// Set once a thread of it has been allocated.
    in_use: bool,
}

impl FreeCores {
    fn new(cores: &[usize], topology: &Topology) -> FreeCores {
        let mut physicals: Vec<_> = topology
            .physicals(cores)
            .into_iter()
            .map(|physical| PhysicalCore {
                node: topology.node(physical),
                threads: cores
                    .iter()
                    .copied()
                    .filter(|&core| topology.physical(core) == physical)
                    .collect(),
                in_use: false,
            })
            .collect();
        physicals.sort_by_key(|physical| physical.node);
        FreeCores { physicals }
    }

    /// Takes `count` cores, or all if there are fewer. Prefers unused physical cores, then one node if it has
    /// enough of them, then physical cores with no more threads than are still missing.
    fn take(&mut self, count: usize) -> Cores {
        let node = self.node_with(count);
        let mut taken = Cores::new();
        while taken.len() < count {
            let missing = count - taken.len();
            let left = self.physicals.iter_mut().filter(|p| !p.threads.is_empty());
            let Some(next) = left.min_by_key(|p| {
                let elsewhere = node.is_some_and(|node| p.node != node);
                (p.in_use, elsewhere, p.threads.len() > missing)
            }) else {
                break;
            };
            let some = missing.min(next.threads.len());
            taken.extend(next.threads.drain(..some));
            next.in_use = true;
        }
        taken.sort_unstable();
        taken
    }

    /// First node that has `count` cores on unused physical cores.
    fn node_with(&self, count: usize) -> Option<usize> {
        let unused = |node: usize| {
            let of_node = self
                .physicals
                .iter()
                .filter(|p| !p.in_use && p.node == node);
            of_node.map(|p| p.threads.len()).sum::<usize>()
        };
        let mut nodes = self.physicals.iter().map(|physical| physical.node);
        nodes.find(|&node| unused(node) >= count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cores::{parse, topology::tests::machine};

    /// 4 physical cores with 2 threads each, on one node: 0 and 4, 1 and 5, and so on.
    const SMT: [(usize, &[usize]); 4] = [(0, &[0, 4]), (0, &[1, 5]), (0, &[2, 6]), (0, &[3, 7])];

    /// Cores that a command line requests, for instance `-p 2 --model_cpus 0-3 -n 8`.
    #[derive(Default)]
    struct Flags {
        model: Option<Cores>,
        per_replica: Cores,
        frontend: Option<Cores>,
        clients: Option<Cores>,
        client_threads: usize,
    }

    impl Flags {
        fn parse(line: &str) -> Flags {
            let mut flags = Flags {
                client_threads: 1,
                ..Flags::default()
            };
            let line = format!(" {line}");
            for flag in line.split(" -").skip(1) {
                let (flag, value) = flag.split_once(' ').unwrap();
                let cores = parse(&[value.to_owned()]).unwrap();
                match flag {
                    "c" | "-model_cpus" => flags.model = Some(cores),
                    "p" => flags.per_replica = cores,
                    "-frontend_cpus" => flags.frontend = Some(cores),
                    "-client_cpus" => flags.clients = Some(cores),
                    "n" => flags.client_threads = cores[0],
                    other => panic!("no flag {other}"),
                }
            }
            flags
        }

        fn request(&self) -> CoreRequest<'_> {
            CoreRequest {
                model: self.model.as_deref(),
                per_replica: &self.per_replica,
                frontend: self.frontend.as_deref(),
                clients: self.clients.as_deref(),
                client_threads: self.client_threads,
            }
        }
    }

    /// Returns the cores of `replicas` replicas with `share` each, those of frontend and driver, and the
    /// text of the overlaps.
    fn allocate(
        line: &str,
        machine: &Topology,
        (replicas, share): (usize, usize),
        allowed: &[usize],
    ) -> (Vec<Cores>, Allocation, String) {
        let flags = Flags::parse(line);
        let allocator = Allocator::new(flags.request(), allowed, machine).unwrap();
        let cores = allocator.replicas(replicas, share).unwrap();
        let others = allocator.frontend_and_driver(&cores.iter().flatten().copied().collect());
        let sharing = others.sharing(&cores).to_string();
        (cores, others, sharing)
    }

    fn cores<const N: usize>() -> [usize; N] {
        std::array::from_fn(|core| core)
    }

    #[test]
    fn replicas_get_whole_physical_cores_that_others_do_not_use() {
        let machine = machine(&SMT);
        let (replicas, others, sharing) = allocate("-p 2", &machine, (2, 2), &cores::<8>());
        assert_eq!(replicas, [vec![0, 4], vec![1, 5]]);
        assert_eq!((others.clients, others.frontend), (vec![2, 6], vec![3, 7]));
        assert_eq!(others.watcher, [2, 6]);
        assert_eq!(sharing, "replicas, frontend and driver have their own");
    }

    #[test]
    fn replicas_of_one_core_get_a_physical_core_each() {
        let machine = machine(&SMT);
        let (replicas, others, _) = allocate("-p 1", &machine, (2, 1), &cores::<8>());
        assert_eq!(replicas, [vec![0], vec![1]]);
        assert_eq!((others.clients, others.frontend), (vec![2, 6], vec![3, 7]));
        let (replicas, _, sharing) = allocate("-p 1", &machine, (5, 1), &cores::<8>());
        assert_eq!(replicas[4], [4]);
        assert!(
            sharing.contains("replicas share the physical core of cores 0,4 with each other"),
            "{sharing}"
        );
    }

    #[test]
    fn sibling_threads_of_replicas_are_used_last_and_reported() {
        let machine = machine(&SMT);
        let (replicas, others, sharing) = allocate("-p 1", &machine, (4, 1), &cores::<8>());
        assert_eq!(replicas, [vec![0], vec![1], vec![2], vec![3]]);
        assert_eq!(
            (&others.clients[..], &others.frontend[..]),
            (&[4, 5][..], &[6, 7][..])
        );
        assert!(
            sharing.contains("replicas and driver share the physical cores of cores"),
            "{sharing}"
        );
        assert!(sharing.contains("replicas and frontend share"), "{sharing}");
    }

    #[test]
    fn a_replica_stays_on_one_node_if_it_fits() {
        let nodes: Vec<(usize, &[usize])> = vec![
            (0, &[0]),
            (1, &[1]),
            (0, &[2]),
            (1, &[3]),
            (0, &[4]),
            (1, &[5]),
        ];
        let machine = machine(&nodes);
        let (replicas, ..) = allocate("-p 2", &machine, (3, 2), &cores::<6>());
        assert_eq!(replicas, [vec![0, 2], vec![1, 3], vec![4, 5]]);
    }

    #[test]
    fn frontend_gets_at_least_half_of_the_free_cores() {
        let machine = Topology::default();
        for (line, allowed, clients, frontend, watcher) in [
            ("-p 1", 3, &[1][..], &[2][..], &[1][..]),
            ("-p 1", 5, &[1, 2], &[3, 4], &[1, 2]),
            ("-p 1", 8, &[1, 2], &[3, 4, 5, 6], &[7]),
            ("-p 1 -n 8", 9, &[1, 2, 3, 4], &[5, 6, 7], &[8]),
            ("-p 1 -n 2", 10, &[1, 2, 3], &[4, 5, 6, 7, 8], &[9]),
        ] {
            let (_, others, sharing) = allocate(line, &machine, (1, 1), &cores::<10>()[..allowed]);
            assert_eq!(others.clients, clients, "{line} on {allowed}");
            assert_eq!(others.frontend, frontend, "{line} on {allowed}");
            assert_eq!(others.watcher, watcher, "{line} on {allowed}");
            assert_eq!(sharing, "replicas, frontend and driver have their own");
        }
    }

    #[test]
    fn frontend_and_driver_share_if_cores_are_scarce() {
        let machine = Topology::default();
        let (_, others, sharing) = allocate("-p 1", &machine, (1, 1), &[0, 1]);
        assert_eq!((&others.frontend, &others.driver()), (&vec![1], &vec![1]));
        assert_eq!(
            sharing,
            "each replica has its own, but frontend and driver share core 1"
        );
        let (_, others, sharing) = allocate("-p 2", &machine, (1, 2), &[0, 1]);
        assert_eq!(
            (&others.frontend, &others.driver()),
            (&vec![0, 1], &vec![0, 1])
        );
        assert_eq!(
            sharing,
            "each replica has its own, but replicas, frontend and driver share cores 0-1"
        );
        let (replicas, others, sharing) = allocate("", &machine, (2, 1), &[0, 1]);
        assert_eq!(replicas, [[0, 1], [0, 1]]);
        assert_eq!((others.pinned, others.clients), (false, vec![0, 1]));
        assert_eq!(sharing, "shared by replicas, frontend and driver");
    }

    #[test]
    fn replicas_avoid_named_cores_unless_model_cpus_names_them() {
        let machine = Topology::default();
        let named = "--frontend_cpus 0 1 --client_cpus 5";
        let (replicas, others, sharing) = allocate(named, &machine, (2, 1), &cores::<6>());
        assert_eq!(replicas, [[2, 3, 4], [2, 3, 4]]);
        assert_eq!((others.frontend, others.clients), (vec![0, 1], vec![5]));
        assert_eq!(sharing, "replicas share cores 2-4 with each other");
        let line = format!("{named} -c 1-4 -p 2");
        let (replicas, _, sharing) = allocate(&line, &machine, (2, 2), &cores::<6>());
        assert_eq!(replicas, [[1, 2], [3, 4]]);
        assert_eq!(
            sharing,
            "each replica has its own, but replicas and frontend share core 1"
        );
        let (_, others, _) = allocate("-p 1 --frontend_cpus 1", &machine, (1, 1), &cores::<5>());
        assert_eq!((others.clients, others.watcher), (vec![2, 3], vec![4]));
        let (_, others, _) = allocate("-p 1 --client_cpus 1", &machine, (1, 1), &cores::<5>());
        assert_eq!((others.frontend, others.watcher), (vec![2, 3, 4], vec![1]));
    }

    #[test]
    fn refuses_missing_cores_and_too_many_replicas() {
        for flag in ["--model_cpus", "--frontend_cpus", "--client_cpus"] {
            let flags = Flags::parse(&format!("{flag} 1-2"));
            let topology = Topology::default();
            let refused = Allocator::new(flags.request(), &[0, 1], &topology).unwrap_err();
            assert!(
                refused
                    .to_string()
                    .contains(&format!("{flag} names core 2")),
                "{refused}"
            );
        }
        let flags = Flags::parse("-p 2 --client_cpus 3");
        let topology = Topology::default();
        let allocator = Allocator::new(flags.request(), &[0, 1, 2, 3], &topology).unwrap();
        assert!(allocator.replicas(1, 2).is_ok());
        let refused = allocator.replicas(2, 2).unwrap_err().to_string();
        assert!(
            refused.contains("need 4 cores, but only 3 are available (0-2)"),
            "{refused}"
        );
    }
}
