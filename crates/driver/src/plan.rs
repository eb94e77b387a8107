//! The plan of a sweep: its configs, the order of their trials, and the cores of each process.

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

/// Maximum time under load of the no-op model at each config. It hardly needs a warm-up.
pub(crate) const BASELINE_DURATION: Duration = Duration::from_secs(4);

/// The plan of a sweep.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The configs that can run. Replicas are the outer loop, then cores per replica, then batch sizes, as in the
    /// original driver.
    #[serde(rename = "points")]
    pub configs: Vec<ConfigPlan>,
    /// The configs that cannot run.
    pub impossible: Vec<InfeasibleConfig>,
    /// The order of trials: round by round, each shuffled, so that drift spreads over all configs.
    #[serde(rename = "runs")]
    pub trials: Vec<PlannedTrial>,
    /// The configs of the baseline, which is measured first; empty without a baseline.
    pub baseline: Vec<ConfigPlan>,
    /// Time under load of each trial of the baseline.
    #[serde(serialize_with = "in_seconds")]
    pub baseline_duration: Duration,
    /// The cores of frontend and driver: those that no replica uses in any config.
    #[serde(rename = "others")]
    pub allocation: Allocation,
}

/// A config that can run, with its cores and devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigPlan {
    /// Maximum batch size, in queries.
    pub batch_size: usize,
    /// Cores of each replica.
    pub replica_cores: Vec<Cores>,
    /// Device of each replica: a GPU of its own, or its cores.
    #[serde(serialize_with = "by_name")]
    pub devices: Vec<Device>,
    /// Queries in flight, over all clients.
    pub in_flight: usize,
}

/// A config that needs more cores or GPUs than there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InfeasibleConfig {
    /// The requested config.
    #[serde(rename = "cell")]
    pub config: Config,
    /// The missing resource, and the remedy.
    pub reason: String,
}

/// A trial to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedTrial {
    /// Round of the trial, from 1.
    pub round: usize,
    /// Index into [`Plan::configs`].
    #[serde(rename = "point")]
    pub config: usize,
}

impl Plan {
    /// Plans the sweep on the `allowed` cores.
    ///
    /// # Errors
    /// If no config fits, or flags name cores that are not allowed.
    pub fn new(settings: &Settings, allowed: &[usize], topology: &Topology) -> Result<Plan, Error> {
        let allocator = Allocator::new(settings.cores(), allowed, topology)?;
        let (configs, impossible) = grid(settings, &allocator)?;
        let used = configs.iter().flat_map(|plan| &plan.replica_cores);
        let used: BTreeSet<usize> = used.flatten().copied().collect();
        Ok(Plan {
            trials: order(configs.len(), settings.repeats, settings.seed),
            baseline: baseline(settings, &configs),
            baseline_duration: BASELINE_DURATION.min(settings.duration),
            configs,
            impossible,
            allocation: allocator.frontend_and_driver(&used),
        })
    }

    /// Returns the plan of the baseline: one trial of each config.
    pub fn of_baseline(&self) -> Plan {
        Plan {
            configs: self.baseline.clone(),
            impossible: Vec::new(),
            trials: order(self.baseline.len(), 1, 0),
            baseline: Vec::new(),
            ..self.clone()
        }
    }
}

impl ConfigPlan {
    /// Returns the config without cores and devices.
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

    /// Returns the GPUs of the replicas.
    pub fn gpus(&self) -> Vec<usize> {
        let gpu = |device: &Device| match device {
            Device::Cuda(gpu) => Some(*gpu as usize),
            Device::Cpu => None,
        };
        self.devices.iter().filter_map(gpu).collect()
    }

    /// Number of cores per replica.
    pub fn cpus_per_replica(&self) -> usize {
        self.replica_cores.first().map_or(0, Vec::len)
    }
}

/// Returns the configs that can run and those that cannot.
fn grid(
    settings: &Settings,
    allocator: &Allocator<'_>,
) -> Result<(Vec<ConfigPlan>, Vec<InfeasibleConfig>), Error> {
    let (mut configs, mut impossible) = (Vec::<ConfigPlan>::new(), Vec::<InfeasibleConfig>::new());
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
                Err(reason) => impossible.push(InfeasibleConfig {
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

/// Returns each number of replicas with each number of cores per replica.
fn deployments(settings: &Settings, allocator: &Allocator<'_>) -> Vec<(usize, usize)> {
    let mut deployments = Vec::new();
    for &replicas in &settings.num_replicas {
        let shares = match &settings.cpus_per_replica[..] {
            [] => &[allocator.even_share(replicas)],
            shares => shares,
        };
        deployments.extend(shares.iter().map(|&share| (replicas, share)));
    }
    deployments
}

/// Returns every config once per round, each round shuffled. Equal seeds give equal orders.
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

/// Returns the configs of the baseline, on CPU cores; none in modes without a comparable result.
fn baseline(settings: &Settings, configs: &[ConfigPlan]) -> Vec<ConfigPlan> {
    let speed = settings.labels.is_none() && !matches!(settings.mode, Mode::Flood(_));
    if !(settings.baseline && speed) {
        return Vec::new();
    }
    let on_cpu = |plan: &ConfigPlan| ConfigPlan {
        devices: vec![Device::Cpu; plan.replicas()],
        ..plan.clone()
    };
    configs.iter().map(on_cpu).collect()
}

/// Returns the device of each replica: its GPU in the order of the flag, or the CPU. The error says what is missing.
fn devices(settings: &Settings, replicas: usize) -> Result<Vec<Device>, String> {
    let gpus = &settings.gpus;
    if !gpus.is_empty() && replicas > gpus.len() && !settings.cpu_beyond_gpus {
        return Err(format!(
            "{replicas} replicas need a GPU each, but --model_gpus names {}; name more GPUs, use fewer replicas, or run \
             the others on CPU cores with --cpu_beyond_gpus",
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
        // One batch computing, one sent ahead, one in the queue.
        None => Ok((3 * batch_size * replicas).max(settings.num_clients)),
        Some(in_flight) if in_flight >= settings.num_clients => Ok(in_flight),
        Some(in_flight) => Err(Error::Usage(format!(
            "--in_flight {in_flight} is less than one query for each of {} clients; reduce --num_clients",
            settings.num_clients
        ))),
    }
}

/// Serializes devices by name.
fn by_name<S: Serializer>(devices: &[Device], serializer: S) -> Result<S::Ok, S::Error> {
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
    fn batch_sizes_are_the_innermost_loop() {
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

    /// Cores of frontend and driver.
    fn frontend_and_driver(plan: &Plan) -> Vec<usize> {
        let allocation = &plan.allocation;
        let cores = [allocation.driver(), allocation.frontend.clone()].concat();
        cores
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    #[test]
    fn replicas_get_disjoint_cores() {
        let plan = plan("-m noop -r 2 -c 3-6 -p 2", &[0, 1, 3, 4, 5, 6]).unwrap();
        assert_eq!(plan.configs[0].replica_cores, [vec![3, 4], vec![5, 6]]);
        assert_eq!(frontend_and_driver(&plan), [0, 1]);
        assert!(plan.allocation.pinned);
    }

    #[test]
    fn replicas_share_the_named_cores_evenly_by_default() {
        let plan = plan("-m noop -r 2 -c 0-4", &[0, 1, 2, 3, 4]).unwrap();
        assert_eq!(plan.configs[0].replica_cores, [vec![0, 1], vec![2, 3]]);
    }

    #[test]
    fn frontend_and_driver_get_the_remaining_cores() {
        for (line, left) in [
            ("-m noop -r 2 -c 0-4", &[4][..]),
            ("-m noop -p 1", &[1, 2, 3, 4]),
            ("-m noop -r 1 2 -p 2", &[4]),
        ] {
            let plan = plan(line, &[0, 1, 2, 3, 4]).unwrap();
            assert_eq!(frontend_and_driver(&plan), left, "{line}");
            assert!(plan.allocation.pinned, "{line}");
        }
    }

    #[test]
    fn frontend_and_driver_share_cores_if_none_is_left() {
        let plan = plan("-m noop -r 1 2 -p 2", &[0, 1, 2, 3]).unwrap();
        assert_eq!(plan.allocation.driver(), [0, 1, 2, 3]);
        assert_eq!(plan.allocation.frontend, [0, 1, 2, 3]);
    }

    #[test]
    fn all_processes_share_all_cores_by_default() {
        let plan = plan("-m noop -r 3", &[0, 7]).unwrap();
        assert_eq!(plan.configs[0].replica_cores, vec![vec![0, 7]; 3]);
        assert!(!plan.allocation.pinned);
    }

    #[test]
    fn replicas_beyond_the_gpus_need_a_flag() {
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
    fn a_sweep_that_does_not_fit_is_an_error() {
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
    fn configs_that_do_not_fit_are_set_apart() {
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
    fn each_round_is_shuffled_by_the_seed() {
        let order = |seed| {
            let line = format!("-m noop -r 1 2 -b 1 2 4 8 --repeats 3 --seed {seed}");
            plan(&line, &[0]).unwrap().trials
        };
        let trials = order(1);
        let round = |number| {
            let trials = trials.iter().filter(move |trial| trial.round == number);
            trials.map(|trial| trial.config).collect::<Vec<_>>()
        };
        for number in 1..=3 {
            let mut configs = round(number);
            configs.sort_unstable();
            assert_eq!(configs, [0, 1, 2, 3, 4, 5, 6, 7]);
        }
        assert!(trials.is_sorted_by_key(|trial| trial.round));
        assert_ne!(round(1), round(2));
        assert_ne!(round(2), round(3));
        assert_eq!(trials, order(1));
        assert_ne!(trials, order(2));
    }

    #[test]
    fn the_baseline_has_one_trial_per_config() {
        let plan = plan("-m vgg -r 1 2 -b 1 2 -g 0 1 --repeats 3", &[0, 1]).unwrap();
        let configs =
            |plans: &[ConfigPlan]| plans.iter().map(ConfigPlan::config).collect::<Vec<_>>();
        let baseline = plan.of_baseline();
        assert_eq!(configs(&baseline.configs), configs(&plan.configs));
        assert_eq!(baseline.trials.len(), 4);
        assert!(baseline.configs.iter().all(|plan| plan.gpus().is_empty()));
        assert!(baseline.baseline.is_empty());
    }

    #[test]
    fn some_sweeps_have_no_baseline() {
        for line in ["-m noop", "-m vgg --no_baseline", "-m vgg --mode flood"] {
            assert!(plan(line, &[0]).unwrap().baseline.is_empty(), "{line}");
        }
    }
}
