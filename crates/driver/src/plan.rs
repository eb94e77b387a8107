//! Which iterations a sweep has, and which cores each process gets.

use std::{collections::BTreeSet, time::Duration};

use model::Device;

use crate::{
    Error,
    cores::{Allocation, Allocator, Cores, Sharing, Topology},
    settings::Settings,
};

/// The iterations of a sweep, in the order in which they run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One per combination: replicas, then cores per replica, then batch sizes, as the original loops.
    pub points: Vec<Point>,
    /// The cores of frontend and driver, the same in all iterations: those that no replica gets in any.
    pub others: Allocation,
    /// The shortest warm-up; it goes on until every replica has answered some batches, for half the duration at most.
    pub warm_up: Duration,
}

/// One iteration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Maximum batch size.
    pub batch_size: usize,
    /// The cores of each replica.
    pub replica_cores: Vec<Cores>,
    /// Where each replica computes: on a GPU of its own, or on its cores.
    pub devices: Vec<Device>,
    /// Queries in flight, over all clients.
    pub in_flight: usize,
}

impl Plan {
    /// Lays the sweep out on the `allowed` cores, or says which combination does not fit.
    pub fn new(settings: &Settings, allowed: &[usize], topology: &Topology) -> Result<Plan, Error> {
        let allocator = Allocator::new(settings, allowed, topology)?;
        let points = points(settings, &allocator)?;
        let taken = points.iter().flat_map(|point| &point.replica_cores);
        let taken: BTreeSet<usize> = taken.flatten().copied().collect();
        let second = Duration::from_secs(1);
        Ok(Plan {
            points,
            others: allocator.others(&taken),
            warm_up: (settings.duration / 10)
                .max(second)
                .min(settings.duration / 2),
        })
    }

    /// Who shares cores with whom at a point.
    pub fn sharing(&self, point: &Point) -> Sharing {
        self.others.sharing(&point.replica_cores)
    }
}

impl Point {
    /// Number of replicas.
    pub fn replicas(&self) -> usize {
        self.replica_cores.len()
    }

    /// The GPUs that replicas compute on.
    pub fn gpus(&self) -> Vec<usize> {
        let gpu = |device: &Device| match device {
            Device::Cuda(gpu) => Some(*gpu as usize),
            Device::Cpu => None,
        };
        self.devices.iter().filter_map(gpu).collect()
    }

    /// Cores that each replica may use.
    pub fn cpus_per_replica(&self) -> usize {
        self.replica_cores.first().map_or(0, Vec::len)
    }
}

fn points(settings: &Settings, allocator: &Allocator<'_>) -> Result<Vec<Point>, Error> {
    let mut points = Vec::new();
    for &replicas in &settings.num_replicas {
        let even = [allocator.even_share(replicas)];
        let shares = match &settings.cpus_per_replica[..] {
            [] => &even,
            asked => asked,
        };
        let devices = devices(settings, replicas)?;
        for &share in shares {
            let replica_cores = allocator.replicas(replicas, share)?;
            for &batch_size in &settings.batch_sizes {
                points.push(Point {
                    batch_size,
                    replica_cores: replica_cores.clone(),
                    devices: devices.clone(),
                    in_flight: in_flight(settings, batch_size, replicas)?,
                });
            }
        }
    }
    Ok(points)
}

/// A GPU for each replica, in the order given; none at all if no GPU is asked for.
fn devices(settings: &Settings, replicas: usize) -> Result<Vec<Device>, Error> {
    let gpus = &settings.gpus;
    if !gpus.is_empty() && replicas > gpus.len() && !settings.cpu_beyond_gpus {
        return Err(Error::Usage(format!(
            "{replicas} replicas need a GPU each, and --model_gpus names {}: name more, take fewer replicas, or let \
             the others compute on CPU cores with --cpu_beyond_gpus",
            gpus.len()
        )));
    }
    let device = |index| {
        gpus.get(index)
            .map_or(Device::Cpu, |&gpu| Device::Cuda(gpu))
    };
    Ok((0..replicas).map(device).collect())
}

fn in_flight(settings: &Settings, batch_size: usize, replicas: usize) -> Result<usize, Error> {
    match settings.in_flight {
        // A batch that computes, one that was sent ahead, one in the queue.
        None => Ok((3 * batch_size * replicas).max(settings.num_clients)),
        Some(asked) if asked >= settings.num_clients => Ok(asked),
        Some(asked) => Err(Error::Usage(format!(
            "--in_flight {asked} leaves some of the {} clients without a query: take fewer --num_clients",
            settings.num_clients
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn plan(line: &str, allowed: &[usize]) -> Result<Plan, Error> {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("driver {line} --results_dir {}", folder.path().display());
        Plan::new(&cli::tests::sweep(&line)?, allowed, &Topology::default())
    }

    #[test]
    fn replicas_are_the_outer_loop_and_batch_sizes_the_inner_one() {
        let plan = plan("-m noop -r 1 2 -p 1 2 -b 4 8", &[0, 1, 2, 3]).unwrap();
        let order: Vec<_> = plan
            .points
            .iter()
            .map(|p| (p.replicas(), p.cpus_per_replica(), p.batch_size))
            .collect();
        let expected = [1, 2].map(|r| [(r, 1, 4), (r, 1, 8), (r, 2, 4), (r, 2, 8)]);
        assert_eq!(order, expected.concat());
        assert_eq!(plan.points[7].in_flight, 3 * 8 * 2);
    }

    #[test]
    fn replicas_get_disjoint_cores_and_the_others_what_is_left() {
        let plan = plan("-m noop -r 2 -c 3-6 -p 2", &[0, 1, 3, 4, 5, 6]).unwrap();
        assert_eq!(plan.points[0].replica_cores, [vec![3, 4], vec![5, 6]]);
        assert_eq!(
            (plan.others.driver(), plan.others.frontend),
            (vec![0], vec![1])
        );
    }

    #[test]
    fn without_a_number_per_replica_the_named_cores_are_split_evenly() {
        let plan = plan("-m noop -r 2 -c 0-4", &[0, 1, 2, 3, 4]).unwrap();
        assert_eq!(plan.points[0].replica_cores, [vec![0, 1], vec![2, 3]]);
    }

    #[test]
    fn cores_that_no_replica_gets_at_any_point_are_the_frontends_and_drivers() {
        for (line, others) in [
            ("-m noop -r 2 -c 0-4", &[4][..]),
            ("-m noop -p 1", &[1, 2, 3, 4]),
            ("-m noop -r 1 2 -p 2", &[4]),
            ("-m noop -r 1 2 -p 1 2", &[4]),
        ] {
            let others_of = plan(line, &[0, 1, 2, 3, 4]).unwrap().others;
            let mut got = [others_of.driver(), others_of.frontend].concat();
            got.sort_unstable();
            got.dedup();
            assert_eq!(got, others, "{line}");
        }
    }

    #[test]
    fn frontend_and_driver_share_the_replicas_cores_when_none_is_left() {
        let plan = plan("-m noop -r 1 2 -p 2", &[0, 1, 2, 3]).unwrap();
        assert!(plan.others.pinned);
        assert_eq!(plan.others.frontend, [0, 1, 2, 3]);
        assert_eq!(plan.others.driver(), [0, 1, 2, 3]);
    }

    #[test]
    fn without_core_flags_everything_shares_all_cores() {
        let plan = plan("-m noop -r 3", &[0, 7]).unwrap();
        assert_eq!(plan.points[0].replica_cores, vec![vec![0, 7]; 3]);
        assert!(!plan.others.pinned);
        assert_eq!(plan.others.frontend, [0, 7]);
    }

    #[test]
    fn each_replica_has_a_gpu_of_its_own_and_others_a_cpu_only_where_allowed() {
        let two = plan("-m vgg -r 1 2 -g 3 1", &[0]).unwrap();
        assert_eq!(two.points[0].devices, [Device::Cuda(3)]);
        assert_eq!(two.points[1].devices, [Device::Cuda(3), Device::Cuda(1)]);
        let mixed = plan("-m vgg -r 2 -g 0 --cpu_beyond_gpus", &[0]).unwrap();
        assert_eq!(mixed.points[0].devices, [Device::Cuda(0), Device::Cpu]);
        assert_eq!(
            plan("-m vgg", &[0]).unwrap().points[0].devices,
            [Device::Cpu]
        );
    }

    #[test]
    fn a_combination_that_does_not_fit_is_named() {
        for (line, named) in [
            ("-m vgg -r 1 2 -g 0", "2 replicas need a GPU each"),
            ("-m noop -r 1 3 -p 1 2", "3 replicas x 1 CPUs"),
            ("-m noop -r 3 -c 0-1", "3 replicas x 1 CPUs"),
            ("-m noop -p 4", "1 replicas x 4 CPUs"),
            ("-m noop -c 1-2", "core 2"),
            ("-m noop --in_flight 2 -n 3", "--in_flight 2"),
        ] {
            match plan(line, &[0, 1]) {
                Err(Error::Usage(message)) => assert!(message.contains(named), "{line}: {message}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}
