//! Overlaps between the cores of replicas, frontend and driver.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{Cores, Topology, show};

/// Sharing of cores between replicas, frontend and driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Nothing is pinned: replicas, frontend and driver run on all cores.
    Unpinned,
    /// All overlaps; empty if nothing is shared.
    Overlaps(Vec<Overlap>),
}

/// Roles that share cores, or that share physical cores with different threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Roles that share; only `Replica` if replicas share with each other.
    between: BTreeSet<Role>,
    /// Shared cores, or all threads that the roles have on shared physical cores.
    cores: Cores,
    /// Set if only physical cores are shared.
    physical: bool,
}

/// Role of a process that runs on cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Replica,
    Frontend,
    Driver,
}

impl Sharing {
    /// Compares every pair of entries; a role may occur several times.
    pub(super) fn among(roles: &[(Role, &[usize])], topology: &Topology) -> Sharing {
        let mut pairs: BTreeMap<(bool, BTreeSet<Role>), BTreeSet<usize>> = BTreeMap::new();
        for (index, &(role, cores)) in roles.iter().enumerate() {
            for &(other, others) in &roles[index + 1..] {
                let (physical, common) = common(cores, others, topology);
                let between = BTreeSet::from([role, other]);
                pairs.entry((physical, between)).or_default().extend(common);
            }
        }
        pairs.retain(|_, cores| !cores.is_empty());
        // If all three pairs share the same cores, report one overlap of three roles.
        let all = [Role::Replica, Role::Frontend, Role::Driver];
        for physical in [false, true] {
            let of = |one: usize, other: usize| {
                pairs
                    .get(&(physical, BTreeSet::from([all[one], all[other]])))
                    .cloned()
            };
            let common = of(0, 1).filter(|_| of(0, 1) == of(0, 2) && of(0, 2) == of(1, 2));
            if let Some(cores) = common {
                pairs.retain(|(kind, between), _| *kind != physical || between.len() < 2);
                pairs.insert((physical, BTreeSet::from(all)), cores);
            }
        }
        let overlap = |((physical, between), cores): (_, BTreeSet<usize>)| Overlap {
            between,
            cores: cores.into_iter().collect(),
            physical,
        };
        Sharing::Overlaps(pairs.into_iter().map(overlap).collect())
    }

    /// Returns true if no cores are shared.
    pub fn is_none(&self) -> bool {
        *self == Sharing::Overlaps(Vec::new())
    }

    fn replicas_share(&self) -> bool {
        match self {
            Sharing::Unpinned => true,
            Sharing::Overlaps(overlaps) => overlaps.iter().any(Overlap::is_of_replicas),
        }
    }
}

impl Overlap {
    fn is_of_replicas(&self) -> bool {
        self.between.iter().eq([&Role::Replica])
    }
}

/// Returns false and the cores in both lists. Without any, returns true and the cores of both that lie on
/// shared physical cores.
fn common(one: &[usize], other: &[usize], topology: &Topology) -> (bool, Cores) {
    let same: Cores = one
        .iter()
        .copied()
        .filter(|core| other.contains(core))
        .collect();
    if !same.is_empty() {
        return (false, same);
    }
    let both = &topology.physicals(one) & &topology.physicals(other);
    let threads = one.iter().chain(other).copied();
    (
        true,
        threads
            .filter(|&core| both.contains(&topology.physical(core)))
            .collect(),
    )
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let overlaps = match self {
            Sharing::Unpinned => return f.write_str("shared by replicas, frontend and driver"),
            Sharing::Overlaps(overlaps) if overlaps.is_empty() => {
                return f.write_str("replicas, frontend and driver have their own");
            }
            Sharing::Overlaps(overlaps) => overlaps,
        };
        if !self.replicas_share() {
            f.write_str("each replica has its own, but ")?;
        }
        let overlaps: Vec<_> = overlaps.iter().map(Overlap::to_string).collect();
        f.write_str(&overlaps.join(", "))
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.cores.len() > 1 { "s" } else { "" };
        let cores = format!("core{plural} {}", show(&self.cores));
        let what = match self.physical {
            true => format!(
                "the physical core{} of {cores}",
                if self.cores.len() > 2 { "s" } else { "" }
            ),
            false => cores,
        };
        if self.is_of_replicas() {
            return write!(f, "replicas share {what} with each other");
        }
        let names: Vec<_> = self.between.iter().map(Role::to_string).collect();
        let (last, others) = names
            .split_last()
            .expect("an overlap has at least two roles");
        write!(f, "{} and {last} share {what}", others.join(", "))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Replica => "replicas",
            Role::Frontend => "frontend",
            Role::Driver => "driver",
        })
    }
}
