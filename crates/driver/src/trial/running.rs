//! A trial that runs: what is deployed, what is watched, and what has been counted until now.

use std::{
    path::Path,
    process,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use deploy::{Deployment, Endpoints, Manager, Registered};
use host::{
    Resources, cores,
    samples::{Sampler, Watched},
};
use loadgen::{Arrivals, Go, Load, Measured, Target, stats::Totals};
use results::{
    AccuracyRun, DriverConfig, Generator, NodeConfig, Outcome, Phase, PhaseKind, ReplicaResult,
    Speed, Trial,
};

use super::spec::{Look, TrialSpec};
use crate::{
    error::Error,
    phase_plan::{PhasePlan, Step},
    self_test::{self, Clients},
};

/// Silence after which missing answers are given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the load generator is measured.
const CEILING_DURATION: Duration = Duration::from_secs(1);

/// A trial that runs.
pub(super) struct Running<'a> {
    spec: &'a TrialSpec<'a>,
    stop: &'a AtomicBool,
    deployment: Deployment,
    sampler: Sampler,
    /// When the load began.
    since: Instant,
    warm: bool,
    totals: Totals,
    first_reason: Option<String>,
    busiest_thread: f64,
}

impl<'a> Running<'a> {
    /// Deploys.
    pub(super) fn deploy(
        manager: &Manager,
        spec: &'a TrialSpec<'a>,
        logs: &Path,
        stop: &'a AtomicBool,
    ) -> Result<Running<'a>, Error> {
        let deployment = Deployment::start(manager, &spec.deployment, logs, stop)?;
        deployment
            .models()
            .try_for_each(|model| spec.inputs.check(model))?;
        let since = Instant::now();
        Ok(Running {
            spec,
            stop,
            sampler: sampler(spec, &deployment, since),
            deployment,
            since,
            warm: false,
            totals: Totals::default(),
            first_reason: None,
            busiest_thread: 0.0,
        })
    }

    /// Runs all phases.
    pub(super) fn speed(
        &mut self,
        mut plan: PhasePlan,
        look: &mut Look<'_>,
    ) -> Result<Outcome, Error> {
        let mut phases: Vec<Phase> = Vec::new();
        while let Some(step) = plan.next(self.since.elapsed()) {
            let load = self.load(&step, phases.len() as u64);
            let mut measured = self.run(step.kind, &load, look)?;
            let phase = Phase::read(step.kind, &load, &mut measured);
            plan.saw(&phase);
            if phase.overloaded && plan.goes_on() {
                self.settle(&step)?;
            }
            phases.push(phase);
        }
        let fastest = phases.iter().map(|phase| phase.throughput.value);
        let fastest = fastest.fold(0.0, f64::max);
        let ceiling_qps = self.ceiling(fastest)?;
        let generator = Generator {
            ceiling_qps,
            share_of_ceiling: fastest / ceiling_qps,
            busiest_thread: self.busiest_thread,
        };
        Ok(Outcome::Speed(Box::new(Speed {
            mode: self.spec.mode.to_owned(),
            client_metrics: phases[0].client_metrics(),
            throughput_qps: phases[0].throughput.value,
            phases,
            search: plan.search(),
            zero: None,
            generator: Some(generator),
        })))
    }

    /// Asks about every input once, and counts what is right.
    pub(super) fn accuracy(&mut self, look: &mut Look<'_>) -> Result<Outcome, Error> {
        let in_flight = self.spec.config.in_flight;
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
        let labels = &self.spec.inputs.labels;
        let accuracy_run = AccuracyRun::count(&outputs, labels, artifact)?;
        Ok(Outcome::Accuracy { accuracy_run })
    }

    /// The load of a phase; each number has arrivals of its own.
    fn load(&self, step: &Step, number: u64) -> Load<'a> {
        let clients = &self.spec.clients;
        Load {
            target: self.target(),
            arrivals: step.arrivals.clone(),
            once: false,
            seed: clients.seed.wrapping_add(number),
            duration: step.duration,
            cores: clients.cores,
            clients: clients.threads,
            opening: step.opening(),
            until: clients.until,
            patience: PATIENCE,
            objective: clients.objective,
            since: self.since,
        }
    }

    fn target(&self) -> Target<'a> {
        let Endpoints { answers, requests } = self.deployment.endpoints();
        Target {
            answers,
            requests,
            app: self.spec.deployment.model,
            input_type: self.spec.deployment.input_type,
        }
    }

    /// Waits until the frontend is rid of what an overloaded phase has left in its queue.
    fn settle(&mut self, step: &Step) -> Result<(), Error> {
        let load = Load {
            patience: PATIENCE.max(self.spec.clients.duration),
            ..self.load(step, 0)
        };
        let (frames, mut failure) = (&self.spec.inputs.frames, None);
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
        let (frames, mut failure) = (&self.spec.inputs.frames, None);
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
        if self.stop.load(Relaxed) {
            return Err(Error::Interrupted);
        }
        self.deployment.check()?;
        self.warm = self.warm || self.deployment.is_warm()?;
        Ok(if self.warm { Go::Warm } else { Go::Cold })
    }

    /// What the load generator can do at most with these inputs and as many queries in flight, in queries a second, for
    /// a trial that `reached` some rate.
    fn ceiling(&self, reached: f64) -> Result<f64, Error> {
        let in_flight = self.spec.config.in_flight;
        let clients = Clients {
            threads: self.spec.clients.threads,
            in_flight,
            cores: self.spec.clients.cores,
        };
        self.spec.ceilings.at(in_flight, reached, || {
            let frames = &self.spec.inputs.frames;
            let measured = self_test::saturate(frames, clients, CEILING_DURATION)?;
            Ok(self_test::rate(&measured))
        })
    }

    /// What was found, with what it took; not yet judged.
    pub(super) fn finish(mut self, outcome: Outcome) -> Result<Trial, Error> {
        let spec = self.spec;
        let config = spec.config;
        let replicas = self.deployment.registered()?;
        let resources = self.sampler.finish(Instant::now());
        let node = spec.blank.node_configs[0].at(config.config());
        let is_speed = matches!(outcome, Outcome::Speed(_));
        Ok(Trial {
            node_configs: vec![NodeConfig {
                allocated_cpus: spec.replica_cores(),
                gpus: config.gpus(),
                ..node
            }],
            clipper_metrics: self.deployment.admin.metrics()?,
            outcome,
            totals: self.totals,
            replicas_lost: self.deployment.lost(&replicas),
            replicas: replicas.into_iter().map(replica_result).collect(),
            replicas_died: self.deployment.died(),
            first_reason: self.first_reason,
            pinning: spec.cores.sharing(&config.replica_cores).to_string(),
            driver: driver_config(spec, &resources),
            resources: is_speed.then_some(resources),
            ..spec.blank.clone()
        })
    }
}

/// How the queries were sent, by the driver and to the frontend that have been watched.
fn driver_config(spec: &TrialSpec<'_>, watched: &Resources) -> DriverConfig {
    let ours = ["driver", "frontend"].into_iter();
    let cores = ours.filter_map(|name| {
        let held = watched.process(name)?.held.clone()?;
        Some((name.to_owned(), held))
    });
    DriverConfig {
        cores: cores.collect(),
        in_flight: spec.config.in_flight,
        ..spec.blank.driver.clone()
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
fn sampler(spec: &TrialSpec<'_>, deployment: &Deployment, now: Instant) -> Sampler {
    let others = spec.cores;
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
    for (replica, cores) in deployment.replicas.iter().zip(&spec.config.replica_cores) {
        all.push(watched(replica.name(), replica.pid(), cores));
    }
    Sampler::new(&all, &others.allowed, spec.gpus, now)
}
