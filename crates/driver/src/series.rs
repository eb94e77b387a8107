//! The trials of one model in a sweep: what they have in common, and what each is given.

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
    /// What was asked for.
    pub settings: Settings,
    /// The combinations, and the order of their trials.
    pub plan: Plan,
    /// What is sent.
    pub inputs: Inputs,
    /// What starts frontend and model servers.
    pub manager: Manager,
    /// What the load generator can do, as far as it has been measured.
    pub ceilings: Rc<Ceilings>,
    /// A trial before anything is measured.
    pub blank: Trial,
    /// Where the results go.
    pub folder: SweepFolder,
}

impl Series {
    /// The combination that a trial is of.
    pub fn config(&self, trial: PlannedTrial) -> Config {
        self.plan.configs[trial.config].config()
    }

    /// The trials of the plan that are not among the results.
    pub fn missing(&self, results: &[Trial]) -> Vec<PlannedTrial> {
        let is_missing = |planned: &&PlannedTrial| {
            let config = self.config(**planned);
            let mut results = results.iter();
            !results.any(|trial| trial.round == planned.round && trial.config() == config)
        };
        let planned = self.plan.trials.iter();
        planned.filter(is_missing).copied().collect()
    }

    /// What a trial is given.
    pub fn spec(&self, trial: PlannedTrial) -> TrialSpec<'_> {
        let (settings, others) = (&self.settings, &self.plan.others);
        let config = &self.plan.configs[trial.config];
        let is_speed = settings.labels.is_none();
        TrialSpec {
            config,
            deployment: self.deployment(config),
            mode: settings.mode.name(),
            phases: is_speed.then(|| PhasePlan::new(settings, config.in_flight)),
            clients: ClientSpec {
                threads: settings.num_clients,
                cores: others.pinned.then_some(&others.clients[..]),
                seed: settings.seed,
                until: settings.until,
                objective: settings.objective,
                duration: settings.duration,
            },
            inputs: &self.inputs,
            cores: others,
            gpus: &settings.gpus[..config.gpus().len()],
            ceilings: &self.ceilings,
            blank: &self.blank,
        }
    }

    fn deployment<'a>(&'a self, config: &'a ConfigPlan) -> DeploymentSpec<'a> {
        let (settings, others) = (&self.settings, &self.plan.others);
        let replicas = config.replica_cores.iter().zip(&config.devices);
        let replica = |(cores, device): (&'a Cores, &Device)| ReplicaSpec {
            device: *device,
            cores: others.pinned.then_some(&cores[..]),
        };
        DeploymentSpec {
            model: settings.model.name,
            input_type: settings.input_type,
            batch_size: config.batch_size,
            objective: settings.told_objective(),
            engine: settings.engine,
            gpu_mem_frac: settings.gpu_mem_frac,
            model_path: settings.model_path.as_deref(),
            frontend_cores: others.pinned.then_some(&others.frontend[..]),
            replicas: replicas.map(replica).collect(),
        }
    }
}
