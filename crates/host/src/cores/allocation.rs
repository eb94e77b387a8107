//! Which cores replicas, frontend and driver get, so that they do not take them from each other.
//!
//! Replicas come first: whole physical cores while there are any, each replica on one NUMA node where it fits. Frontend
//! and driver have what no replica gets at any point of the sweep, so that points differ in their replicas alone; the
//! other threads of the replicas' physical cores are the last that they take.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Cores, Sharing, Topology, sharing::Role, show};
use crate::Error;

/// What the frontend keeps before the driver's main thread gets a core of its own: its engine, its I/O and its HTTP.
const FRONTEND_CORES: usize = 3;

/// What flags ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoreRequest<'a> {
    /// The cores for the replicas (`--model_cpus`); `None`: all that no other flag names.
    pub model: Option<&'a [usize]>,
    /// Numbers of cores per replica to try (`--cpus_per_replica_nums`); empty: an even share.
    pub per_replica: &'a [usize],
    /// The frontend's cores (`--frontend_cpus`); `None`: some of those that are left.
    pub frontend: Option<&'a [usize]>,
    /// The driver's cores (`--client_cpus`); `None`: some of those that are left.
    pub clients: Option<&'a [usize]>,
    /// Client threads of the driver.
    pub client_threads: usize,
}

/// Gives out the cores that this process may use.
#[derive(Clone, Copy, Debug)]
pub struct Allocator<'a> {
    request: CoreRequest<'a>,
    allowed: &'a [usize],
    topology: &'a Topology,
}

/// The cores of everything but the replicas, the same at all points of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Allocation {
    /// False if no flag asks for cores: then nothing is pinned, and all share all.
    pub pinned: bool,
    /// All that the driver, and so everything it starts, may use.
    pub allowed: Cores,
    /// The frontend's.
    pub frontend: Cores,
    /// Those of the driver's client threads and their I/O.
    pub clients: Cores,
    /// Those of the driver's main thread, which watches: of its own where there is room, else the clients'.
    pub watcher: Cores,
    #[serde(skip)]
    topology: Topology,
}

impl<'a> Allocator<'a> {
    /// Gives out the `allowed` cores, ascending.
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

    /// An even share of the replicas' cores, rounded down.
    pub fn even_share(&self, replicas: usize) -> usize {
        self.pool().len() / replicas
    }

    /// The cores of each of `replicas` replicas: `share` of its own for each or, where no flag gives them any, the same
    /// for all.
    ///
    /// # Errors
    /// `TooFewCores` if there are fewer cores for replicas than they take.
    pub fn replicas(&self, replicas: usize, share: usize) -> Result<Vec<Cores>, Error> {
        let pool = self.pool();
        if !self.replicas_have_their_own() {
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
        let mut free = Free::new(&pool, self.topology);
        Ok((0..replicas).map(|_| free.take(share)).collect())
    }

    /// The cores of frontend and driver beside replicas that have `taken` theirs, over all points.
    pub fn others(&self, taken: &BTreeSet<usize>) -> Allocation {
        let (frontend_cpus, client_cpus) = (self.request.frontend, self.request.clients);
        let pinned =
            self.replicas_have_their_own() || frontend_cpus.is_some() || client_cpus.is_some();
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
        // One core is for both, and with none they run where the replicas do.
        let scarce = match free.is_empty() {
            true => self.pool(),
            false => free,
        };
        let or_scarce = |cores: Cores| match cores.is_empty() {
            true => scarce.clone(),
            false => cores,
        };
        Allocation {
            pinned,
            allowed: self.allowed.to_vec(),
            frontend: or_scarce(frontend_cpus.map_or(left, <[usize]>::to_vec)),
            clients: or_scarce(clients),
            watcher: or_scarce(watcher),
            topology: self.topology.clone(),
        }
    }

    fn replicas_have_their_own(&self) -> bool {
        self.request.model.is_some() || !self.request.per_replica.is_empty()
    }

    /// The cores for replicas: those named, else all that are not named for others.
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

    /// What nobody has; without the other threads of replicas' physical cores, if the rest is enough.
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

    /// A core for each client thread and one for their I/O; but half of all for the frontend, which has as much to do.
    fn clients(&self, free: &[usize]) -> Cores {
        let most = match self.request.frontend {
            None => (free.len() / 2).max(1),
            Some(_) => free.len(),
        };
        Free::new(free, self.topology).take(most.min(self.request.client_threads + 1))
    }

    /// The watcher's cores, and what remains of those that the clients have `left`: it takes the other threads of the
    /// clients' physical cores, or one that the frontend can spare.
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
    /// All cores of the driver.
    pub fn driver(&self) -> Cores {
        let cores = self.clients.iter().chain(&self.watcher).copied();
        cores.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Who shares cores with whom, beside replicas on these.
    pub fn sharing(&self, replicas: &[Cores]) -> Sharing {
        if !self.pinned {
            return Sharing::Everything;
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

/// Cores that are still to be given out.
struct Free {
    /// By node, then number.
    physicals: Vec<Physical>,
}

/// What is left of a physical core.
struct Physical {
    node: usize,
    threads: Cores,
    touched: bool,
}

impl Free {
    fn new(cores: &[usize], topology: &Topology) -> Free {
        let mut physicals: Vec<_> = topology
            .physicals(cores)
            .into_iter()
            .map(|physical| Physical {
                node: topology.node(physical),
                threads: cores
                    .iter()
                    .copied()
                    .filter(|&core| topology.physical(core) == physical)
                    .collect(),
                touched: false,
            })
            .collect();
        physicals.sort_by_key(|physical| physical.node);
        Free { physicals }
    }

    /// Takes `count` cores, or all if there are fewer: untouched physical cores before others, those of one node if it
    /// has enough of them, and none that is larger than what is missing while there is another.
    fn take(&mut self, count: usize) -> Cores {
        let node = self.node_with(count);
        let mut taken = Cores::new();
        while taken.len() < count {
            let missing = count - taken.len();
            let left = self.physicals.iter_mut().filter(|p| !p.threads.is_empty());
            let Some(next) = left.min_by_key(|p| {
                let elsewhere = node.is_some_and(|node| p.node != node);
                (p.touched, elsewhere, p.threads.len() > missing)
            }) else {
                break;
            };
            let some = missing.min(next.threads.len());
            taken.extend(next.threads.drain(..some));
            next.touched = true;
        }
        taken.sort_unstable();
        taken
    }

    /// The first node that has `count` cores on untouched physical cores.
    fn node_with(&self, count: usize) -> Option<usize> {
        let untouched = |node: usize| {
            let of_node = self
                .physicals
                .iter()
                .filter(|p| !p.touched && p.node == node);
            of_node.map(|p| p.threads.len()).sum::<usize>()
        };
        let mut nodes = self.physicals.iter().map(|physical| physical.node);
        nodes.find(|&node| untouched(node) >= count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cores::{parse, topology::tests::machine};

    /// 4 physical cores with 2 threads each, on one node: 0 and 4, 1 and 5, and so on.
    const SMT: [(usize, &[usize]); 4] = [(0, &[0, 4]), (0, &[1, 5]), (0, &[2, 6]), (0, &[3, 7])];

    /// What a command line asks for, as in `-p 2 --model_cpus 0-3 -n 8`.
    #[derive(Default)]
    struct Asked {
        model: Option<Cores>,
        per_replica: Cores,
        frontend: Option<Cores>,
        clients: Option<Cores>,
        client_threads: usize,
    }

    impl Asked {
        fn read(line: &str) -> Asked {
            let mut asked = Asked {
                client_threads: 1,
                ..Asked::default()
            };
            let line = format!(" {line}");
            for flag in line.split(" -").skip(1) {
                let (flag, value) = flag.split_once(' ').unwrap();
                let cores = parse(&[value.to_owned()]).unwrap();
                match flag {
                    "c" | "-model_cpus" => asked.model = Some(cores),
                    "p" => asked.per_replica = cores,
                    "-frontend_cpus" => asked.frontend = Some(cores),
                    "-client_cpus" => asked.clients = Some(cores),
                    "n" => asked.client_threads = cores[0],
                    other => panic!("no flag {other}"),
                }
            }
            asked
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

    /// The cores of `replicas` replicas with `share` each, those of the others, and who shares with whom.
    fn allocate(
        line: &str,
        machine: &Topology,
        (replicas, share): (usize, usize),
        allowed: &[usize],
    ) -> (Vec<Cores>, Allocation, String) {
        let asked = Asked::read(line);
        let allocator = Allocator::new(asked.request(), allowed, machine).unwrap();
        let cores = allocator.replicas(replicas, share).unwrap();
        let others = allocator.others(&cores.iter().flatten().copied().collect());
        let sharing = others.sharing(&cores).to_string();
        (cores, others, sharing)
    }

    fn cores<const N: usize>() -> [usize; N] {
        std::array::from_fn(|core| core)
    }

    #[test]
    fn a_replica_gets_whole_physical_cores_and_the_others_keep_off_them() {
        let machine = machine(&SMT);
        let (replicas, others, sharing) = allocate("-p 2", &machine, (2, 2), &cores::<8>());
        assert_eq!(replicas, [vec![0, 4], vec![1, 5]]);
        assert_eq!((others.clients, others.frontend), (vec![2, 6], vec![3, 7]));
        assert_eq!(others.watcher, [2, 6]);
        assert_eq!(sharing, "replicas, frontend and driver have their own");
    }

    #[test]
    fn replicas_of_one_core_get_a_physical_core_each_whose_other_thread_stays_idle() {
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
    fn the_other_thread_of_a_replicas_core_is_used_only_if_nothing_else_is_there_and_marked() {
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
    fn a_replica_stays_on_one_node_where_it_fits() {
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
    fn clients_and_their_io_have_cores_and_the_frontend_half_of_them_at_least() {
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
    fn one_core_is_for_frontend_and_driver_and_none_is_for_nobody() {
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
    fn cores_named_for_frontend_and_driver_are_theirs_and_replicas_keep_off_unless_told() {
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
    fn a_core_that_is_not_there_is_refused_by_its_flag_and_too_many_replicas_by_their_number() {
        for flag in ["--model_cpus", "--frontend_cpus", "--client_cpus"] {
            let asked = Asked::read(&format!("{flag} 1-2"));
            let topology = Topology::default();
            let refused = Allocator::new(asked.request(), &[0, 1], &topology).unwrap_err();
            assert!(
                refused
                    .to_string()
                    .contains(&format!("{flag} names core 2")),
                "{refused}"
            );
        }
        let asked = Asked::read("-p 2 --client_cpus 3");
        let topology = Topology::default();
        let allocator = Allocator::new(asked.request(), &[0, 1, 2, 3], &topology).unwrap();
        assert!(allocator.replicas(1, 2).is_ok());
        let refused = allocator.replicas(2, 2).unwrap_err().to_string();
        assert!(
            refused.contains("need 4 cores, but there are 3 for them (0-2)"),
            "{refused}"
        );
    }
}
