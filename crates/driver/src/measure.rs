//! What can be measured: one point after the other, each deployed for itself.

mod ceilings;
mod run;

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use deploy::Manager;
use host::{
    Resources,
    cores::Cores,
    machine::{Machine, Versions},
};
use loadgen::{Progress, stats::Totals};
use results::{
    Config, DriverConfig, FORMAT, NodeConfig, Outcome, PhaseKind, PointResult, Slot, Verdict,
};
use serde_json::Value;

use crate::{
    Error,
    inputs::Inputs,
    plan::{Plan, Point},
    self_test::{self, Clients},
    settings::Settings,
};
pub use ceilings::Ceilings;
use run::Run;

/// How long the load generator is measured.
const CEILING_DURATION: Duration = Duration::from_secs(1);

/// Is told how it goes, and what has been used until then.
type Look<'a> = dyn FnMut(PhaseKind, &Progress, &Resources) + 'a;

/// What all points of a sweep have in common.
#[derive(Debug)]
pub struct Sweep {
    /// What was asked for.
    pub settings: Settings,
    /// The points and cores.
    pub plan: Plan,
    /// What is sent.
    pub inputs: Inputs,
    /// What starts frontend and model servers.
    pub manager: Manager,
    /// What it runs on.
    pub machine: Machine,
    /// What is measured.
    pub versions: Versions,
    /// Set by Ctrl-C and SIGTERM.
    pub interrupted: Arc<AtomicBool>,
    /// What the load generator can do, as far as it has been measured.
    pub ceilings: Rc<Ceilings>,
}

impl Sweep {
    /// Measures one point; its result is not yet judged. `look` is told how it goes, about ten times a second. Whatever happens, no process is left.
    pub fn measure(
        &self,
        point: &Point,
        slot: &Slot,
        mut look: impl FnMut(PhaseKind, &Progress, &Resources),
    ) -> Result<PointResult, Error> {
        let mut run = Run::begin(self, point, slot)?;
        let outcome = match self.settings.labels {
            None => run.speed(&mut look)?,
            Some(_) => run.accuracy(&mut look)?,
        };
        run.result(outcome)
    }

    /// An error once the user has asked to stop.
    pub fn interrupted(&self) -> Result<(), Error> {
        match self.interrupted.load(Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    /// The result of a point that could not be measured, and why; not yet judged.
    pub fn not_run(&self, config: Config, why: String) -> PointResult {
        self.nothing(config, Outcome::NotRun { not_run: why })
    }

    /// A result without any query.
    fn nothing(&self, config: Config, outcome: Outcome) -> PointResult {
        PointResult {
            format: FORMAT,
            round: 1,
            verdict: Verdict::of(Vec::new()),
            resources: None,
            node_configs: vec![self.node_config(config)],
            clipper_metrics: Value::Null,
            outcome,
            totals: Totals::default(),
            replicas_lost: 0,
            replicas: Vec::new(),
            replicas_died: 0,
            first_reason: None,
            pinning: self.plan.others.sharing(&[]).to_string(),
            driver: self.driver_config(0, &Resources::default()),
            machine: self.machine.clone(),
            versions: self.versions.clone(),
        }
    }

    fn deployed(&self, point: &Point) -> NodeConfig {
        let mut allocated: Cores = point.replica_cores.concat();
        allocated.sort_unstable();
        allocated.dedup();
        NodeConfig {
            allocated_cpus: allocated,
            gpus: point.gpus(),
            ..self.node_config(point.config())
        }
    }

    /// What is deployed at this config, on no cores yet.
    fn node_config(&self, config: Config) -> NodeConfig {
        NodeConfig {
            name: self.settings.model.name.to_owned(),
            input_type: self.settings.input_type.to_string(),
            model_image: self.manager.model_image(),
            allocated_cpus: Vec::new(),
            cpus_per_replica: config.cpus_per_replica,
            slo: u64::try_from(self.settings.told_objective().as_micros()).unwrap_or(u64::MAX),
            num_replicas: config.replicas,
            gpus: Vec::new(),
            batch_size: config.batch_size,
        }
    }

    /// How the queries are sent: so many in flight, by the driver and to the frontend that have been watched.
    fn driver_config(&self, in_flight: usize, watched: &Resources) -> DriverConfig {
        let ours = ["driver", "frontend"].into_iter();
        let cores = ours.filter_map(|name| {
            let held = watched.process(name)?.held.clone()?;
            Some((name.to_owned(), held))
        });
        DriverConfig {
            manager: self.manager.describe(),
            cores: cores.collect(),
            num_clients: self.settings.num_clients,
            in_flight,
            objective_ms: self.settings.objective.map(|o| o.as_secs_f64() * 1e3),
            seed: self.settings.seed,
            inputs: self.inputs.description.clone(),
            duration_seconds: self.settings.duration.as_secs_f64(),
            command_line: self.settings.command_line.clone(),
        }
    }

    /// What the load generator can do at most with these inputs and so many queries in flight, in queries a second, for a point
    /// that `reached` some rate.
    fn ceiling(&self, in_flight: usize, reached: f64) -> Result<f64, Error> {
        let others = &self.plan.others;
        let clients = Clients {
            threads: self.settings.num_clients,
            in_flight,
            cores: others.pinned.then_some(&others.clients),
        };
        self.ceilings.at(in_flight, reached, || {
            let measured = self_test::saturate(&self.inputs.frames, clients, CEILING_DURATION)?;
            Ok(self_test::rate(&measured))
        })
    }
}
