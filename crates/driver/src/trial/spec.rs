//! The spec of a trial.

use std::time::Duration;

use deploy::DeploymentSpec;
use host::{
    Resources,
    cores::{Allocation, Cores},
};
use loadgen::Progress;
use results::{PhaseKind, Trial};

use super::ceilings::Ceilings;
use crate::{inputs::Inputs, phase_plan::PhasePlan, plan::ConfigPlan};

/// Receives the progress of a trial and the resources used so far, about ten times a second.
pub type ProgressFn<'a> = dyn FnMut(PhaseKind, &Progress, &Resources) + 'a;

/// The spec of one trial.
#[derive(Clone, Debug)]
pub struct TrialSpec<'a> {
    /// Config, with its cores and devices.
    pub config: &'a ConfigPlan,
    /// Frontend and replicas to deploy.
    pub deployment: DeploymentSpec<'a>,
    /// Name of the mode on the command line.
    pub mode: &'static str,
    /// Phases; `None` for an accuracy run, which sends each input once.
    pub phases: Option<PhasePlan>,
    /// Settings of the client threads.
    pub clients: ClientSpec<'a>,
    /// Inputs of the queries.
    pub inputs: &'a Inputs,
    /// Cores of frontend and driver.
    pub cores: &'a Allocation,
    /// GPUs of the replicas, by number.
    pub gpus: &'a [u32],
    /// Ceilings of the load generator that have been measured.
    pub ceilings: &'a Ceilings,
    /// Fields that all results have in common.
    pub template: &'a Trial,
}

/// Settings of the client threads, for all phases of a trial.
#[derive(Clone, Copy, Debug)]
pub struct ClientSpec<'a> {
    /// Number of client threads.
    pub threads: usize,
    /// Cores of the client threads; `None` for those of this process.
    pub cores: Option<&'a [usize]>,
    /// Seed of random arrivals.
    pub seed: u64,
    /// Ends a phase early once the 95 % confidence interval of its result is within plus or minus this share of it.
    pub until: Option<f64>,
    /// Latency objective (SLO).
    pub objective: Option<Duration>,
    /// Time under load of the trial; zero in an accuracy run.
    pub duration: Duration,
}

impl TrialSpec<'_> {
    /// Returns all cores of the replicas, ascending.
    pub fn replica_cores(&self) -> Cores {
        let mut cores: Cores = self.config.replica_cores.concat();
        cores.sort_unstable();
        cores.dedup();
        cores
    }
}
