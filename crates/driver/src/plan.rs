//! Which combinations a sweep has, in which order they are measured, and which cores each process gets.

use std::{collections::BTreeSet, time::Duration};

use host::cores::{Allocation, Allocator, Cores, Topology};
use model::Device;
use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use results::Config;
use serde::{Serialize, Serializer};

use crate::{
    error::Error,
    settings::{Mode, Settings, in_seconds},
};

/// How long the no-op model is under load at each config, at most: it needs no warm-up to speak of.
pub(crate) const ZERO: Duration = Duration::from_secs(4);

/// What a sweep measures.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// One per combination that can run: replicas, then cores per replica, then batch sizes, as the original loops.
    #[serde(rename = "points")]
    pub configs: Vec<ConfigPlan>,
    /// The combinations that cannot.
    pub impossible: Vec<Impossible>,
    /// The order of measuring: round by round, each in an order of its own, so that drift spreads over all
    /// combinations.
    #[serde(rename = "runs")]
    pub trials: Vec<PlannedTrial>,
    /// The same combinations for the no-op model, which comes first; or none at all.
    pub zero: Vec<ConfigPlan>,
    /// How long each of those is under load.
    #[serde(serialize_with = "in_seconds")]
    pub zero_duration: Duration,
    /// The cores of frontend and driver, the same at all combinations: those that no replica gets at any.
    pub others: Allocation,
}

/// A combination that can be measured, with its place on the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigPlan {
    /// Maximum batch size.
    pub batch_size: usize,
    /// The cores of each replica.
    pub replica_cores: Vec<Cores>,
    /// Where each replica computes: on a GPU of its own, or on its cores.
    #[serde(serialize_with = "in_words")]
    pub devices: Vec<Device>,
    /// Queries in flight, over all clients.
    pub in_flight: usize,
}

/// A combination that this machine, or the flags, leave no room for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Impossible {
    /// What was asked for.
    #[serde(rename = "cell")]
    pub config: Config,
    /// What is missing, and what to do.
    pub reason: String,
}

/// A measurement of a combination that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedTrial {
    /// In which round, from 1.
    pub round: usize,
    /// Of which of [`Plan::configs`].
    #[serde(rename = "point")]
    pub config: usize,
}

impl Plan {
    /// Lays the sweep out on the `allowed` cores.
    ///
    /// # Errors
    /// If no combination fits, or flags ask for cores that are not allowed.
    pub fn new(settings: &Settings, allowed: &[usize], topology: &Topology) -> Result<Plan, Error> {
        let allocator = Allocator::new(settings.cores(), allowed, topology)?;
        let (configs, impossible) = grid(settings, &allocator)?;
        let taken = configs.iter().flat_map(|plan| &plan.replica_cores);
        let taken: BTreeSet<usize> = taken.flatten().copied().collect();
        Ok(Plan {
            trials: order(configs.len(), settings.repeats, settings.seed),
            zero: zero(settings, &configs),
            zero_duration: ZERO.min(settings.duration),
            configs,
            impossible,
            others: allocator.others(&taken),
        })
    }

    /// The same plan for the no-op model: each combination once.
    pub fn of_zero(&self) -> Plan {
        Plan {
            configs: self.zero.clone(),
            impossible: Vec::new(),
            trials: order(self.zero.len(), 1, 0),
            zero: Vec::new(),
            ..self.clone()
        }
    }
}

impl ConfigPlan {
    /// What tells it from the others.
    pub fn config(&self) -> Config {
        Config {
            replicas: self.replicas(),
            cpus_per_replica: self.cpus_per_replica(),
            batch_size: self.batch_size,
        }
    }

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

/// The combinations that can run, and those that cannot, each once.
fn grid(
    settings: &Settings,
    allocator: &Allocator<'_>,
) -> Result<(Vec<ConfigPlan>, Vec<Impossible>), Error> {
    let (mut configs, mut impossible) = (Vec::<ConfigPlan>::new(), Vec::<Impossible>::new());
    for (replicas, share) in deployments(settings, allocator) {
        let placed = devices(settings, replicas).and_then(|devices| {
            let cores = allocator.replicas(replicas, share);
            Ok((devices, cores.map_err(|why| why.to_string())?))
        });
        for &batch_size in &settings.batch_sizes {
            match &placed {
                Ok((devices, replica_cores)) => configs.push(ConfigPlan {
                    batch_size,
                    replica_cores: replica_cores.clone(),
                    devices: devices.clone(),
                    in_flight: in_flight(settings, batch_size, replicas)?,
                }),
                Err(reason) => impossible.push(Impossible {
                    config: Config {
                        replicas,
                        cpus_per_replica: share.max(1),
                        batch_size,
                    },
                    reason: reason.clone(),
                }),
            }
        }
    }
    match impossible.first() {
        Some(first) if configs.is_empty() => Err(Error::Usage(first.reason.clone())),
        _ => Ok((configs, impossible)),
    }
}

/// Each number of replicas with each number of cores for one of them.
fn deployments(settings: &Settings, allocator: &Allocator<'_>) -> Vec<(usize, usize)> {
    let mut deployments = Vec::new();
    for &replicas in &settings.num_replicas {
        let shares = match &settings.cpus_per_replica[..] {
            [] => &[allocator.even_share(replicas)],
            asked => asked,
        };
        deployments.extend(shares.iter().map(|&share| (replicas, share)));
    }
    deployments
}

/// Every combination once per round; each round is shuffled anew. The same seed gives the same order.
fn order(configs: usize, rounds: usize, seed: u64) -> Vec<PlannedTrial> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let round = |round| {
        let trials = (0..configs).map(|config| PlannedTrial { round, config });
        let mut trials: Vec<_> = trials.collect();
        trials.shuffle(&mut random);
        trials
    };
    (1..=rounds).flat_map(round).collect()
}

/// The combinations as the no-op model has them, on CPU cores; none where nobody would hold a number against them.
fn zero(settings: &Settings, configs: &[ConfigPlan]) -> Vec<ConfigPlan> {
    let speed = settings.labels.is_none() && !matches!(settings.mode, Mode::Flood(_));
    if !(settings.zero && speed) {
        return Vec::new();
    }
    let on_cpu = |plan: &ConfigPlan| ConfigPlan {
        devices: vec![Device::Cpu; plan.replicas()],
        ..plan.clone()
    };
    configs.iter().map(on_cpu).collect()
}

/// A GPU for each replica, in the order given; none at all if no GPU is asked for. Or what is missing.
fn devices(settings: &Settings, replicas: usize) -> Result<Vec<Device>, String> {
    let gpus = &settings.gpus;
    if !gpus.is_empty() && replicas > gpus.len() && !settings.cpu_beyond_gpus {
        return Err(format!(
            "{replicas} replicas need a GPU each, and --model_gpus names {}: name more, take fewer replicas, or let \
             the others compute on CPU cores with --cpu_beyond_gpus",
            gpus.len()
        ));
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

/// For the record of a sweep.
fn in_words<S: Serializer>(devices: &[Device], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(devices.iter().map(Device::to_string))
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
            .configs
            .iter()
            .map(|p| (p.replicas(), p.cpus_per_replica(), p.batch_size))
            .collect();
        let expected = [1, 2].map(|r| [(r, 1, 4), (r, 1, 8), (r, 2, 4), (r, 2, 8)]);
        assert_eq!(order, expected.concat());
        assert_eq!(plan.configs[7].in_flight, 3 * 8 * 2);
    }

    /// The cores of frontend and driver.
    fn others(plan: &Plan) -> Vec<usize> {
        let cores = [plan.others.driver(), plan.others.frontend.clone()].concat();
        cores
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn replicas_get_disjoint_cores_and_the_others_what_is_left() {
        let plan = plan("-m noop -r 2 -c 3-6 -p 2", &[0, 1, 3, 4, 5, 6]).unwrap();
        assert_eq!(plan.configs[0].replica_cores, [vec![3, 4], vec![5, 6]]);
        assert_eq!(others(&plan), [0, 1]);
        assert!(plan.others.pinned);
    }

    #[test]
    fn without_a_number_per_replica_the_named_cores_are_split_evenly() {
        let plan = plan("-m noop -r 2 -c 0-4", &[0, 1, 2, 3, 4]).unwrap();
        assert_eq!(plan.configs[0].replica_cores, [vec![0, 1], vec![2, 3]]);
    }

    #[test]
    fn cores_that_no_replica_gets_are_the_frontends_and_drivers() {
        for (line, left) in [
            ("-m noop -r 2 -c 0-4", &[4][..]),
            ("-m noop -p 1", &[1, 2, 3, 4]),
            ("-m noop -r 1 2 -p 2", &[4]),
        ] {
            let plan = plan(line, &[0, 1, 2, 3, 4]).unwrap();
            assert_eq!(others(&plan), left, "{line}");
            assert!(plan.others.pinned, "{line}");
        }
    }

    #[test]
    fn frontend_and_driver_share_the_replicas_cores_when_none_is_left() {
        let plan = plan("-m noop -r 1 2 -p 2", &[0, 1, 2, 3]).unwrap();
        assert_eq!(plan.others.driver(), [0, 1, 2, 3]);
        assert_eq!(plan.others.frontend, [0, 1, 2, 3]);
    }

    #[test]
    fn without_core_flags_everything_shares_all_cores() {
        let plan = plan("-m noop -r 3", &[0, 7]).unwrap();
        assert_eq!(plan.configs[0].replica_cores, vec![vec![0, 7]; 3]);
        assert!(!plan.others.pinned);
    }

    #[test]
    fn each_replica_has_a_gpu_of_its_own_and_others_a_cpu_only_where_allowed() {
        let two = plan("-m vgg -r 1 2 -g 3 1", &[0]).unwrap();
        assert_eq!(two.configs[0].devices, [Device::Cuda(3)]);
        assert_eq!(two.configs[1].devices, [Device::Cuda(3), Device::Cuda(1)]);
        let mixed = plan("-m vgg -r 2 -g 0 --cpu_beyond_gpus", &[0]).unwrap();
        assert_eq!(mixed.configs[0].devices, [Device::Cuda(0), Device::Cpu]);
        assert_eq!(
            plan("-m vgg", &[0]).unwrap().configs[0].devices,
            [Device::Cpu]
        );
    }

    #[test]
    fn nothing_that_fits_is_an_error_that_names_what_is_missing() {
        for (line, named) in [
            ("-m vgg -r 2 3 -g 0", "2 replicas need a GPU each"),
            ("-m noop -r 3 -p 1 2", "3 replicas x 1 CPUs"),
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

    #[test]
    fn a_combination_that_does_not_fit_is_marked_and_the_others_are_measured() {
        let plan = plan("-m noop -r 1 3 -p 1 2 -b 4 8", &[0, 1, 2]).unwrap();
        let run: Vec<_> = plan.configs.iter().map(ConfigPlan::config).collect();
        let config = |replicas, cpus_per_replica, batch_size| Config {
            replicas,
            cpus_per_replica,
            batch_size,
        };
        let fits = [(1, 1), (1, 2), (3, 1)].map(|(r, p)| [config(r, p, 4), config(r, p, 8)]);
        assert_eq!(run, fits.concat());
        let not: Vec<_> = plan.impossible.iter().map(|i| i.config).collect();
        assert_eq!(not, [config(3, 2, 4), config(3, 2, 8)]);
        assert!(plan.impossible[0].reason.contains("need 6 cores"));
    }

    #[test]
    fn every_round_has_all_points_in_an_order_of_its_own_which_the_seed_repeats() {
        let order = |seed| {
            let line = format!("-m noop -r 1 2 -b 1 2 4 8 --repeats 3 --seed {seed}");
            plan(&line, &[0]).unwrap().trials
        };
        let runs = order(1);
        let round = |number| {
            let runs = runs.iter().filter(move |run| run.round == number);
            runs.map(|run| run.config).collect::<Vec<_>>()
        };
        for number in 1..=3 {
            let mut points = round(number);
            points.sort_unstable();
            assert_eq!(points, [0, 1, 2, 3, 4, 5, 6, 7]);
        }
        assert!(runs.is_sorted_by_key(|run| run.round));
        assert_ne!(round(1), round(2));
        assert_ne!(round(2), round(3));
        assert_eq!(runs, order(1));
        assert_ne!(runs, order(2));
    }

    #[test]
    fn the_zero_is_measured_once_per_shape_on_cpu_cores_however_many_rounds_there_are() {
        let plan = plan("-m vgg -r 1 2 -b 1 2 -g 0 1 --repeats 3", &[0, 1]).unwrap();
        let shapes =
            |configs: &[ConfigPlan]| configs.iter().map(ConfigPlan::config).collect::<Vec<_>>();
        let zero = plan.of_zero();
        assert_eq!(shapes(&zero.configs), shapes(&plan.configs));
        assert_eq!(zero.trials.len(), 4);
        assert!(zero.configs.iter().all(|plan| plan.gpus().is_empty()));
        assert!(zero.zero.is_empty());
    }

    #[test]
    fn there_is_no_zero_where_nobody_would_hold_a_number_against_it() {
        for line in ["-m noop", "-m vgg --no_zero", "-m vgg --mode flood"] {
            assert!(plan(line, &[0]).unwrap().zero.is_empty(), "{line}");
        }
    }
}
