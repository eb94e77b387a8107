//! The trials of one model in a sweep, and the spec of each.

use std::rc::Rc;

use deploy::{DeploymentSpec, Manager, ReplicaSpec};
use host::cores::Cores;
use model::Device;
use results::{Config, Trial};

use crate::{
    folder::SweepFolder,
    inputs::Inputs,
    phase_plan::PhasePlan,
    plan::{ConfigPlan, Plan, PlannedTrial},
    settings::Settings,
    trial::{Ceilings, ClientSpec, TrialSpec},
};

/// The trials of one model.
#[derive(Debug)]
pub struct Series {
    /// Settings of the sweep.
    pub settings: Settings,
    /// Configs, and the order of their trials.
    pub plan: Plan,
    /// Inputs of the queries.
    pub inputs: Inputs,
    /// Starts frontend and model servers.
    pub manager: Manager,
    /// Ceilings of the load generator that have been measured.
    pub ceilings: Rc<Ceilings>,
    /// Fields that all results have in common.
    pub template: Trial,
    /// Folder of the results.
    pub folder: SweepFolder,
}

impl Series {
    /// Returns the config of a trial.
    pub fn config(&self, trial: PlannedTrial) -> Config {
        self.plan.configs[trial.config].config()
    }

    /// Returns the planned trials that have no result.
    pub fn missing(&self, results: &[Trial]) -> Vec<PlannedTrial> {
        let is_missing = |planned: &&PlannedTrial| {
            let config = self.config(**planned);
            let mut results = results.iter();
            !results.any(|trial| trial.round == planned.round && trial.config() == config)
        };
        let planned = self.plan.trials.iter();
        planned.filter(is_missing).copied().collect()
    }

    /// Returns the spec of a trial.
    pub fn spec(&self, trial: PlannedTrial) -> TrialSpec<'_> {
        let (settings, allocation) = (&self.settings, &self.plan.allocation);
        let config = &self.plan.configs[trial.config];
        let is_speed = settings.labels.is_none();
        TrialSpec {
            config,
            deployment: self.deployment(config),
            mode: settings.mode.name(),
            phases: is_speed.then(|| PhasePlan::new(settings, config.in_flight)),
            clients: ClientSpec {
                threads: settings.num_clients,
                cores: allocation.pinned.then_some(&allocation.clients[..]),
                seed: settings.seed,
                until: settings.until,
                objective: settings.objective,
                duration: settings.duration,
            },
            inputs: &self.inputs,
            cores: allocation,
            gpus: &settings.gpus[..config.gpus().len()],
            ceilings: &self.ceilings,
            template: &self.template,
        }
    }

    fn deployment<'a>(&'a self, config: &'a ConfigPlan) -> DeploymentSpec<'a> {
        let (settings, allocation) = (&self.settings, &self.plan.allocation);
        let replicas = config.replica_cores.iter().zip(&config.devices);
        let replica = |(cores, device): (&'a Cores, &Device)| ReplicaSpec {
            device: *device,
            cores: allocation.pinned.then_some(&cores[..]),
        };
        DeploymentSpec {
            model: settings.model.name,
            input_type: settings.input_type,
            batch_size: config.batch_size,
            objective: settings.frontend_objective(),
            engine: settings.engine,
            gpu_mem_frac: settings.gpu_mem_frac,
            model_path: settings.model_path.as_deref(),
            frontend_cores: allocation.pinned.then_some(&allocation.frontend[..]),
            replicas: replicas.map(replica).collect(),
        }
    }
}
