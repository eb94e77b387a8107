//! One point, from its deployment to its result.

use std::{
    process,
    time::{Duration, Instant},
};

use deploy::{Deployment, DeploymentSpec, Endpoints, Registered, ReplicaSpec};
use host::{
    cores::{self, Cores},
    samples::{Sampler, Watched},
};
use loadgen::{Arrivals, Go, Load, Measured, Target, stats::Totals};
use model::Device;
use results::{
    AccuracyRun, Generator, Outcome, Phase, PhaseKind, PointResult, ReplicaResult, Slot, Speed,
};

use super::{Look, Sweep};
use crate::{
    Error,
    agenda::{Agenda, Step},
    plan::Point,
};

/// Silence after which missing answers are given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A point that is being measured.
pub(super) struct Run<'a> {
    sweep: &'a Sweep,
    point: &'a Point,
    deployment: Deployment,
    sampler: Sampler,
    /// When the load began.
    since: Instant,
    warm: bool,
    totals: Totals,
    first_reason: Option<String>,
    busiest_thread: f64,
}

impl<'a> Run<'a> {
    /// Deploys.
    pub(super) fn begin(sweep: &'a Sweep, point: &'a Point, slot: &Slot) -> Result<Run<'a>, Error> {
        let spec = spec(sweep, point);
        let deployment = Deployment::start(&sweep.manager, &spec, &slot.logs, &sweep.interrupted)?;
        let mut models = deployment.models();
        models.try_for_each(|model| sweep.inputs.check(model))?;
        drop(models);
        let since = Instant::now();
        Ok(Run {
            sweep,
            point,
            sampler: sampler(sweep, point, &deployment, since),
            deployment,
            since,
            warm: false,
            totals: Totals::default(),
            first_reason: None,
            busiest_thread: 0.0,
        })
    }

    /// Runs all phases.
    pub(super) fn speed(&mut self, look: &mut Look<'_>) -> Result<Outcome, Error> {
        let settings = &self.sweep.settings;
        let mut agenda = Agenda::new(settings, self.point.in_flight);
        let mut phases: Vec<Phase> = Vec::new();
        while let Some(step) = agenda.next(self.since.elapsed()) {
            let load = self.load(&step, phases.len() as u64);
            let mut measured = self.run(step.kind, &load, look)?;
            let phase = Phase::read(step.kind, &load, &mut measured);
            agenda.saw(&phase);
            if phase.overloaded && agenda.goes_on() {
                self.settle(&step)?;
            }
            phases.push(phase);
        }
        let fastest = phases.iter().map(|phase| phase.throughput.value);
        let fastest = fastest.fold(0.0, f64::max);
        let ceiling_qps = self.sweep.ceiling(self.point.in_flight, fastest)?;
        let generator = Generator {
            ceiling_qps,
            share_of_ceiling: fastest / ceiling_qps,
            busiest_thread: self.busiest_thread,
        };
        Ok(Outcome::Speed(Box::new(Speed {
            mode: settings.mode.name().to_owned(),
            client_metrics: phases[0].client_metrics(),
            throughput_qps: phases[0].throughput.value,
            phases,
            search: agenda.search(),
            zero: None,
            generator: Some(generator),
        })))
    }

    /// Asks about every input once, and counts what is right.
    pub(super) fn accuracy(&mut self, look: &mut Look<'_>) -> Result<Outcome, Error> {
        let in_flight = self.point.in_flight;
        let step = Step {
            kind: PhaseKind::Throughput,
            arrivals: Arrivals::Closed { in_flight },
            duration: Duration::ZERO,
        };
        let load = Load {
            once: true,
            until: None,
            ..self.load(&step, 0)
        };
        let outputs = self.run(step.kind, &load, look)?.tally.outputs;
        let registered = self.deployment.registered()?;
        let replicas: Vec<_> = registered.into_iter().map(replica_result).collect();
        let artifact = replicas.iter().find_map(ReplicaResult::artifact);
        let labels = &self.sweep.inputs.labels;
        let accuracy_run = AccuracyRun::count(&outputs, labels, artifact)?;
        Ok(Outcome::Accuracy { accuracy_run })
    }

    /// The load of a phase; each number has arrivals of its own.
    fn load(&self, step: &Step, number: u64) -> Load<'a> {
        let (settings, others) = (&self.sweep.settings, &self.sweep.plan.others);
        Load {
            target: self.target(),
            arrivals: step.arrivals.clone(),
            once: false,
            seed: settings.seed.wrapping_add(number),
            duration: step.duration,
            cores: others.pinned.then_some(&others.clients[..]),
            clients: settings.num_clients,
            opening: step.opening(),
            until: settings.until,
            patience: PATIENCE,
            objective: settings.objective,
            since: self.since,
        }
    }

    fn target(&self) -> Target<'a> {
        let settings = &self.sweep.settings;
        let Endpoints { answers, requests } = self.deployment.endpoints();
        Target {
            answers,
            requests,
            app: settings.model.name,
            input_type: settings.input_type,
        }
    }

    /// Waits until the frontend is rid of what an overloaded phase has left in its queue.
    fn settle(&mut self, step: &Step) -> Result<(), Error> {
        let load = Load {
            patience: PATIENCE.max(self.sweep.settings.duration),
            ..self.load(step, 0)
        };
        let (frames, mut failure) = (&self.sweep.inputs.frames, None);
        loadgen::settle(&load, frames, |_| self.look_after(&mut failure))?;
        failure.map_or(Ok(()), Err)
    }

    /// Sends one load, and sees that frontend and replicas stay there.
    fn run(
        &mut self,
        kind: PhaseKind,
        load: &Load<'_>,
        look: &mut Look<'_>,
    ) -> Result<Measured, Error> {
        let (frames, mut failure) = (&self.sweep.inputs.frames, None);
        let measured = loadgen::run(load, frames, |at| {
            let go = self.look_after(&mut failure);
            look(kind, at, self.sampler.seen());
            go
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        self.totals.add(&measured.tally.totals);
        self.busiest_thread = self.busiest_thread.max(measured.busiest_thread);
        if self.first_reason.is_none() {
            self.first_reason.clone_from(&measured.tally.first_reason);
        }
        Ok(measured)
    }

    /// Takes a sample of what is used, and stops the load where it cannot go on; `failure` says why.
    fn look_after(&mut self, failure: &mut Option<Error>) -> Go {
        self.sampler.sample(Instant::now());
        self.watch().unwrap_or_else(|error| {
            *failure = Some(error);
            Go::Stop
        })
    }

    /// Goes on as long as the frontend and one replica live.
    fn watch(&mut self) -> Result<Go, Error> {
        self.sweep.interrupted()?;
        self.deployment.check()?;
        self.warm = self.warm || self.deployment.is_warm()?;
        Ok(if self.warm { Go::Warm } else { Go::Cold })
    }

    /// What was found, with what it took; not yet judged.
    pub(super) fn result(mut self, outcome: Outcome) -> Result<PointResult, Error> {
        let (sweep, point) = (self.sweep, self.point);
        let replicas = self.deployment.registered()?;
        let resources = self.sampler.finish(Instant::now());
        let is_speed = matches!(outcome, Outcome::Speed(_));
        Ok(PointResult {
            node_configs: vec![sweep.deployed(point)],
            clipper_metrics: self.deployment.admin.metrics()?,
            totals: self.totals,
            replicas_lost: self.deployment.lost(&replicas),
            replicas: replicas.into_iter().map(replica_result).collect(),
            replicas_died: self.deployment.died(),
            first_reason: self.first_reason,
            pinning: sweep.plan.others.sharing(&point.replica_cores).to_string(),
            driver: sweep.driver_config(point.in_flight, &resources),
            resources: is_speed.then_some(resources),
            ..sweep.nothing(point.config(), outcome)
        })
    }
}

/// What is deployed at this point.
fn spec<'a>(sweep: &'a Sweep, point: &'a Point) -> DeploymentSpec<'a> {
    let (settings, others) = (&sweep.settings, &sweep.plan.others);
    let replicas = point.replica_cores.iter().zip(&point.devices);
    let replica = |(cores, device): (&'a Cores, &Device)| ReplicaSpec {
        device: *device,
        cores: others.pinned.then_some(&cores[..]),
    };
    DeploymentSpec {
        model: settings.model.name,
        input_type: settings.input_type,
        batch_size: point.batch_size,
        objective: settings.told_objective(),
        engine: settings.engine,
        gpu_mem_frac: settings.gpu_mem_frac,
        model_path: settings.model_path.as_deref(),
        frontend_cores: others.pinned.then_some(&others.frontend[..]),
        replicas: replicas.map(replica).collect(),
    }
}

/// A replica, as a result file holds it.
fn replica_result(registered: Registered) -> ReplicaResult {
    ReplicaResult {
        replica: registered.replica,
        pid: registered.pid,
        cores: registered.cores.as_deref().map(cores::show),
    }
}

/// Watches the driver, the frontend and each replica.
fn sampler(sweep: &Sweep, point: &Point, deployment: &Deployment, now: Instant) -> Sampler {
    let others = &sweep.plan.others;
    let watched = |name: &str, pid, cores: &[usize]| Watched {
        name: name.to_owned(),
        pid,
        pinned: others.pinned.then(|| cores.to_vec()),
    };
    let frontend = deployment.frontend.member.pid();
    let mut all = vec![
        watched("driver", process::id(), &others.driver()),
        watched("frontend", frontend, &others.frontend),
    ];
    for (replica, cores) in deployment.replicas.iter().zip(&point.replica_cores) {
        all.push(watched(replica.name(), replica.pid(), cores));
    }
    let gpus = &sweep.settings.gpus[..point.gpus().len()];
    Sampler::new(&all, &others.allowed, gpus, now)
}
