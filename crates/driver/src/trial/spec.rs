//! What a trial is given.

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

/// Is shown how a trial goes, and what has been used until then, about ten times a second.
pub type Look<'a> = dyn FnMut(PhaseKind, &Progress, &Resources) + 'a;

/// Everything that one trial is given.
#[derive(Clone, Debug)]
pub struct TrialSpec<'a> {
    /// The combination, with its place on the machine.
    pub config: &'a ConfigPlan,
    /// What is deployed.
    pub deployment: DeploymentSpec<'a>,
    /// How the phases are called together, as on the command line.
    pub mode: &'static str,
    /// The phases; `None`: an accuracy run, which sends each input once.
    pub phases: Option<PhasePlan>,
    /// Who sends.
    pub clients: ClientSpec<'a>,
    /// What is sent.
    pub inputs: &'a Inputs,
    /// The cores of everything but the replicas.
    pub cores: &'a Allocation,
    /// The GPUs of the replicas, by number.
    pub gpus: &'a [u32],
    /// What the load generator can do, as far as it has been measured.
    pub ceilings: &'a Ceilings,
    /// The trial before anything is measured.
    pub blank: &'a Trial,
}

/// What all loads of a trial have in common.
#[derive(Clone, Copy, Debug)]
pub struct ClientSpec<'a> {
    /// Client threads.
    pub threads: usize,
    /// Their cores; `None`: those of this process.
    pub cores: Option<&'a [usize]>,
    /// The seed of random arrivals.
    pub seed: u64,
    /// A phase ends early once the interval of its figure is narrower than this share of it.
    pub until: Option<f64>,
    /// The latency objective.
    pub objective: Option<Duration>,
    /// How long the trial is under load; zero if that has no length.
    pub duration: Duration,
}

impl TrialSpec<'_> {
    /// Every core that a replica may use.
    pub fn replica_cores(&self) -> Cores {
        let mut cores: Cores = self.config.replica_cores.concat();
        cores.sort_unstable();
        cores.dedup();
        cores
    }
}
