//! Who shares cores with whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{Cores, Topology, show};

/// Who shares cores with whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Nothing is pinned: replicas, frontend and driver run on all cores.
    Everything,
    /// What overlaps; nothing if all have cores of their own.
    Overlaps(Vec<Overlap>),
}

/// Two that share cores, or physical cores of which each has some threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Replicas alone: they share with each other.
    between: BTreeSet<Role>,
    /// What they share: the same cores, or the threads, of both, of physical cores.
    cores: Cores,
    physical: bool,
}

/// Who runs on cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Replica,
    Frontend,
    Driver,
}

impl Sharing {
    /// Compares each with each; a role may be there several times.
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
        // Three pairs that share the same are three that share it.
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

    /// True if everyone has cores of their own.
    pub fn is_none(&self) -> bool {
        *self == Sharing::Overlaps(Vec::new())
    }

    fn replicas_share(&self) -> bool {
        match self {
            Sharing::Everything => true,
            Sharing::Overlaps(overlaps) => overlaps.iter().any(Overlap::is_of_replicas),
        }
    }
}

impl Overlap {
    fn is_of_replicas(&self) -> bool {
        self.between.iter().eq([&Role::Replica])
    }
}

/// The cores that both have; if none, the cores that both have on the same physical cores, and true.
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
            Sharing::Everything => return f.write_str("shared by replicas, frontend and driver"),
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
        let (last, others) = names.split_last().expect("at least two share something");
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
